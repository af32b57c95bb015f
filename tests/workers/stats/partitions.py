"""The stats worker's processor over stores in memory, without a broker, and events to feed it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from schemas.cloudevents import encode
from schemas.image import ImageReference
from schemas.listing import ListingCreated
from schemas.sale import ItemSold, SaleReversed
from schemas.topics import LISTING_CREATED, STATS_CHANGELOG, TRANSACTIONS
from stats_store.backend.memory import MemoryBackend
from stats_store.histogram import PriceHistogram
from stats_store.identity import identity
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore
from workers.runtime.metrics import RoutingMetrics, StatsMetrics
from workers.runtime.processing import Output, Record, Rejected
from workers.runtime.routing import SellerRouter
from workers.stats.processor import StatsInput, StatsProcessor

START = datetime(2026, 3, 1, tzinfo=UTC)


class NoOthers:
    """The parts of other workers where there are none."""

    latest_day = 0

    def check(self) -> None:
        pass

    def total(self, key: ScopeKey, without: int) -> PriceHistogram | None:
        del key, without
        return None


class Partitions:
    """A processor that has all partitions, what its stores hold, and where its changelogs end."""

    def __init__(self, number: int = 1) -> None:
        self.entries = [dict(identity(partition)) for partition in range(number)]
        self.registry = CollectorRegistry()
        self._ends = [0] * number
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
                written[each.topic, each.partition] = self._ends[each.partition]
                self._ends[each.partition] += 1
        self.processor.committed(written)


def record_of(event: StatsInput, offset: int, partition: int = 0) -> Record:
    topic = LISTING_CREATED if isinstance(event, ListingCreated) else TRANSACTIONS
    headers = encode(event, event_id=f"e{offset}", source="/test", time=START)
    key = event.seller_id.encode()
    return Record(topic, partition, offset, offset, key, event.to_bytes(), headers)


def sale_of(item: int, seller: str = "anna", price: int = 100) -> ItemSold:
    return ItemSold(
        transaction_id=f"t{item}",
        listing_id=f"l{item}",
        seller_id=seller,
        category="A",
        price_minor=price,
        currency="GBP",
        sold_at=START,
    )


def reversal_of(item: int, seller: str = "anna") -> SaleReversed:
    return SaleReversed(
        transaction_id=f"t{item}", listing_id=f"l{item}", seller_id=seller, reversed_at=START
    )


def listing_of(item: int, seller: str = "anna") -> ListingCreated:
    return ListingCreated(
        listing_id=f"l{item}",
        seller_id=seller,
        category="A",
        currency="GBP",
        images=(ImageReference(uri="https://photos.example.org/1.jpg"),),
        listed_at=START,
    )
