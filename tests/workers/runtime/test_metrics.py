from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from workers.runtime.metrics import LoopMetrics, RoutingMetrics, StatsMetrics, SuggestMetrics
from workers.runtime.processing import Output, Record, Rejected

OPERATING = Path(__file__).parents[3] / "docs" / "operating.md"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(registry: CollectorRegistry, clock: Clock) -> LoopMetrics:
    return LoopMetrics(registry, clock=clock)


def record(offset: int, seconds: float, *, topic: str = "sales", partition: int = 0) -> Record:
    return Record(topic, partition, offset, round(seconds * 1000), b"seller", b"{}", [])


def output(topic: str) -> Output:
    return Output(topic, 0, b"seller", b"{}", [], 0)


def lag(registry: CollectorRegistry, partition: int = 0) -> float | None:
    return registry.get_sample_value(
        "secondsight_lag_seconds", {"topic": "sales", "partition": str(partition)}
    )


def test_a_transaction_is_counted_by_what_it_read_wrote_and_set_aside(
    metrics: LoopMetrics, registry: CollectorRegistry
) -> None:
    batch = [record(0, 900), record(1, 901), record(2, 902, topic="listings")]
    metrics.consumed(batch)
    metrics.committed(
        batch,
        [output("enriched"), output("enriched"), output("sales.dead-letter")],
        [Rejected(batch[1], "decode", ValueError("no"))],
        0.25,
    )

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"secondsight_{name}", labels)

    assert value("records_consumed_total", topic="sales") == 2
    assert value("records_consumed_total", topic="listings") == 1
    assert value("records_produced_total", topic="enriched") == 2
    assert value("records_produced_total", topic="sales.dead-letter") == 1
    assert value("dead_letters_total", topic="sales", stage="decode") == 1
    assert value("transactions_total", outcome="committed") == 1
    assert value("transactions_total", outcome="aborted") == 0
    assert value("transaction_seconds_sum") == 0.25
    assert value("batch_records_sum") == 3


def test_transactions_that_did_not_commit_are_counted_by_outcome(
    metrics: LoopMetrics, registry: CollectorRegistry
) -> None:
    metrics.aborted("aborted")
    metrics.aborted("aborted")
    metrics.aborted("unknown")
    counted = [
        registry.get_sample_value("secondsight_transactions_total", {"outcome": outcome})
        for outcome in ("committed", "aborted", "unknown")
    ]
    assert counted == [0, 2, 1]


def test_lag_counts_from_the_last_committed_record_while_others_wait(
    metrics: LoopMetrics, registry: CollectorRegistry, clock: Clock
) -> None:
    first, second = record(0, 900), record(1, 950)
    metrics.consumed([first, second])
    assert lag(registry) == 100  # nothing is committed: the oldest one waits since 900
    metrics.committed([first], [], [], 0.1)
    assert lag(registry) == 100
    metrics.committed([second], [], [], 0.1)
    assert lag(registry) == 50  # more may be in the log: its end has not been met
    clock.now = 1_010
    assert lag(registry) == 60


def test_an_idle_partition_has_no_lag(
    metrics: LoopMetrics, registry: CollectorRegistry, clock: Clock
) -> None:
    metrics.reached_end("sales", 0)
    assert lag(registry) == 0
    only = record(0, 900)
    metrics.reached_end("sales", 0)  # the poll that brought the record met the end behind it
    metrics.consumed([only])
    assert lag(registry) == 100
    metrics.committed([only], [], [], 0.1)
    clock.now = 5_000
    assert lag(registry) == 0


def test_lag_counts_again_when_an_idle_partition_gets_records(
    metrics: LoopMetrics, registry: CollectorRegistry, clock: Clock
) -> None:
    old = record(0, 900)
    metrics.consumed([old])
    metrics.reached_end("sales", 0)
    metrics.committed([old], [], [], 0.1)
    metrics.consumed([record(1, 990)])
    assert lag(registry) == 10  # since the new record, not since the old one
    metrics.consumed([record(2, 991)])
    metrics.committed([record(1, 990), record(2, 991)], [], [], 0.1)
    assert lag(registry) == 9  # the end met before these records is not the end any more


def test_a_record_ahead_of_the_clock_gives_no_negative_lag(
    metrics: LoopMetrics, registry: CollectorRegistry
) -> None:
    metrics.consumed([record(0, 2_000)])
    assert lag(registry) == 0


def test_revoked_partitions_take_their_lag_along(
    metrics: LoopMetrics, registry: CollectorRegistry
) -> None:
    metrics.consumed([record(0, 900), record(0, 900, partition=1)])
    metrics.rebalanced("revoked", [1])
    assert lag(registry, 0) == 100
    assert lag(registry, 1) is None
    assert registry.get_sample_value("secondsight_rebalances_total", {"kind": "revoked"}) == 1


def test_every_metric_is_in_the_operators_page(registry: CollectorRegistry) -> None:
    LoopMetrics(registry)
    RoutingMetrics(registry)
    StatsMetrics(registry)
    SuggestMetrics(registry)
    page = OPERATING.read_text()
    for family in registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        assert name.startswith("secondsight_")
        assert f"| `{name}` |" in page
        assert f"| {family.documentation} |" in page
