"""Python's looks for cycles stay out of the batches of the stats worker."""

import gc
from collections.abc import Iterator

import pytest

from schemas.topics import TRANSACTIONS
from tests.workers.stats.events import Events
from tests.workers.stats.partitions import Partitions, record_of
from workers.runtime.settings import Settings
from workers.stats.worker import collect_seldom


@pytest.fixture
def looks() -> Iterator[list[int]]:
    """The generations of all looks for cycles; afterwards they are as they were."""
    thresholds = gc.get_threshold()
    found: list[int] = []

    def note(phase: str, about: dict[str, int]) -> None:
        if phase == "start":
            found.append(about["generation"])

    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_no_look_for_cycles_falls_into_a_full_batch(looks: list[int]) -> None:
    size = Settings().batch_max_records
    one = Partitions()
    gc.collect()
    collect_seldom(size)
    looks.clear()
    events = Events()
    batch = [
        record_of(events.sale(n, n, 100, seller=f"seller {n}"), n, topic=TRANSACTIONS)
        for n in range(size)
    ]
    one.commit(one.processor.process(batch))
    assert looks == []
