"""A short run of the torture itself: every named step once, and the rest of the harness's faults.

The long one is `make torture`.
"""

from pathlib import Path

import pytest

from tests.torture.cluster import Cluster
from tests.torture.plan import Fault, Kind
from tests.torture.run import run
from tests.torture.steps import AT_COMMIT

COMMITS = [
    Fault(kind=Kind.AT_STEP, worker="ab"[turn % 2], step=step, count=2, fraction=0.5)
    for turn, step in enumerate(AT_COMMIT)
]
HANDOVERS = [
    Fault(kind=Kind.IN_RESTORE, worker="a", step="in-restore"),
    Fault(kind=Kind.IN_RESTORE, worker="b", step="after-restore"),
    Fault(kind=Kind.IN_REVOKE),
    Fault(kind=Kind.IN_ASSIGN),
]
TIME_OUTS = [
    Fault(kind=Kind.TIMED_OUT, worker="a"),
    Fault(kind=Kind.FENCED, worker="b"),
    Fault(kind=Kind.FROZEN, worker="c", step="before-write"),
]


@pytest.mark.timeout(600)  # a minute; on a machine with ten times the load it may take ten
def test_nothing_is_lost_or_double(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    faults = COMMITS + HANDOVERS + TIME_OUTS
    cluster = Cluster(kafka, prefix=topic_prefix, partitions=4)
    cluster.create_topics()
    result = run(
        faults,
        cluster=cluster,
        broker=None,
        folder=tmp_path,
        seed=3,
        rate=120,
        tell=lambda what, *, kills, published: None,
    )
    assert result["good"], (tmp_path / "verdict.json").read_text()
    assert result["kills"] == sum(fault.kind.kills for fault in faults)
    assert result["step_missed"] == {}
    assert result["other_faults"] == {fault.kind.value: 1 for fault in TIME_OUTS}
    assert result["compared"]["listings"] > 0
