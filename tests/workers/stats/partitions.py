"""The stats worker's processor over stores in memory, without a broker."""

from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from schemas.topics import STATS_CHANGELOG
from stats_store.backend.memory import MemoryBackend
from stats_store.histogram import PriceHistogram
from stats_store.identity import identity
from stats_store.scope import ScopeKey
from stats_store.store import ChangelogRecord, PartitionStore
from workers.runtime.metrics import RoutingMetrics, StatsMetrics
from workers.runtime.processing import Output, Record, Rejected
from workers.runtime.routing import SellerRouter
from workers.stats.processor import StatsProcessor


class NoOthers:
    """The parts of other workers where there are none."""

    latest_day = 0

    def check(self) -> None:
        pass

    def total(self, key: ScopeKey, without: int) -> PriceHistogram | None:
        del key, without
        return None


class Partitions:
    """A processor that has all partitions, what its stores hold, and their changelogs."""

    def __init__(self, number: int = 1) -> None:
        self.entries = [dict(identity(partition)) for partition in range(number)]
        self.registry = CollectorRegistry()
        self.changelogs: list[list[ChangelogRecord]] = [[] for _ in range(number)]
        self.processor = StatsProcessor(
            router=SellerRouter(partitions=number, metrics=RoutingMetrics(self.registry)),
            open_store=lambda partition, _: self.open(partition),
            restore=lambda _store, _cancelled: None,
            partials=NoOthers(),  # type: ignore[arg-type]
            metrics=StatsMetrics(self.registry),
            max_future=600,
            partials_interval=3_600,
        )
        for partition in range(number):
            self.processor.assigned(partition)

    def open(self, partition: int) -> PartitionStore:
        """Return a store of what is durable."""
        backend = MemoryBackend(self.entries[partition])
        return PartitionStore(backend, partition, cached_histograms=2)

    def commit(self, results: Sequence[Output | Rejected]) -> None:
        """Let the transaction of a batch stand."""
        written = {}
        for each in results:
            if isinstance(each, Output) and each.topic == STATS_CHANGELOG:
                log = self.changelogs[each.partition]
                written[each.topic, each.partition] = len(log)
                log.append((len(log), each.key or b"", each.value))
        self.processor.committed(written)


def record_of(made: dict[str, Any], offset: int, *, topic: str, partition: int = 0) -> Record:
    """Return what the loop hands over for a record that `Events` made."""
    return Record(
        topic,
        partition,
        offset,
        made["timestamp"],
        made["key"],
        made["value"],
        made["headers"],
    )
