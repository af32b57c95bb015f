"""A retraining in a process of its own, for a test to kill: tells its stages on stdout."""

import sys
from datetime import datetime
from pathlib import Path

from tests.conftest import ColourBackbone
from tests.workers.retrain.conftest import places_in, rules_for
from workers.retrain.job import retrain


def _tell(stage: str, done: int, total: int) -> None:
    print(stage, done, total, flush=True)  # noqa: T201 - for the test


if __name__ == "__main__":
    folder, photos, kafka, topic, now = sys.argv[1:]
    retrain(
        places_in(Path(folder), Path(photos), kafka, topic),
        rules_for(ColourBackbone()),
        now=datetime.fromisoformat(now),
        report=_tell,
    )
