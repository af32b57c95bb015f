"""What the stats worker does with a batch apart from its results: positions and counts."""

from datetime import UTC, datetime, timedelta

import pytest
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
from workers.runtime.processing import Output, Record
from workers.runtime.routing import SellerRouter
from workers.stats.processor import StatsInput, StatsProcessor

START = datetime(2026, 3, 1, tzinfo=UTC)
EVERYTHING = ScopeKey.overall("GBP")


class NoOthers:
    """The parts of other partitions where there are none."""

    latest_day = 0

    def check(self) -> None:
        pass

    def total(self, key: ScopeKey, without: int) -> PriceHistogram | None:
        del key, without
        return None


class Partition:
    """A processor of one partition, its store in memory, and its changelog."""

    def __init__(self) -> None:
        self.entries = dict(identity(0))
        self.registry = CollectorRegistry()
        self.changelog_end = 0
        self.processor = StatsProcessor(
            router=SellerRouter(partitions=1, metrics=RoutingMetrics(self.registry)),
            open_store=lambda number, _: PartitionStore(
                MemoryBackend(self.entries), number, cached_histograms=10
            ),
            restore=lambda _store, _cancelled: None,
            partials=NoOthers(),  # type: ignore[arg-type]
            metrics=StatsMetrics(self.registry),
            max_future=600,
            partials_interval=3_600,
        )
        self.processor.assigned(0)

    def commit(self, results: object) -> None:
        assert isinstance(results, list)
        self.changelog_end += sum(
            isinstance(each, Output) and each.topic == STATS_CHANGELOG for each in results
        )
        self.processor.committed({(STATS_CHANGELOG, 0): self.changelog_end - 1})

    def counted(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("secondsight_sales_total", {"outcome": outcome})

    def enriched(self) -> float | None:
        return self.registry.get_sample_value("secondsight_listings_enriched_total")


@pytest.fixture
def partition() -> Partition:
    return Partition()


def record(event: StatsInput, offset: int) -> Record:
    topic = LISTING_CREATED if isinstance(event, ListingCreated) else TRANSACTIONS
    headers = encode(event, event_id=f"e{offset}", source="/test", time=START)
    return Record(topic, 0, offset, offset, b"anna", event.to_bytes(), headers)


def sale(number: int) -> ItemSold:
    return ItemSold(
        transaction_id=f"t{number}",
        listing_id=f"l{number}",
        seller_id="anna",
        category="A",
        price_minor=100,
        currency="GBP",
        sold_at=START,
    )


def reversal(number: int) -> SaleReversed:
    return SaleReversed(
        transaction_id=f"t{number}",
        listing_id=f"l{number}",
        seller_id="anna",
        reversed_at=START + timedelta(days=1),
    )


def test_a_record_that_cannot_be_processed_does_not_come_again(partition: Partition) -> None:
    partition.commit(partition.processor.process([record(sale(0), 0)]))
    poison = record(sale(1), 1)
    written = partition.processor.skip(poison)
    assert [each.key for each in written] == [b"mposition/" + TRANSACTIONS.encode()]
    partition.commit(written)
    partition.processor.revoked(0)
    assert partition.processor.assigned(0) == {TRANSACTIONS: 2}
    assert partition.processor.process([poison]) == []  # from another place, all the same
    store = PartitionStore(MemoryBackend(partition.entries), 0, cached_histograms=10)
    counted = store.histogram(EVERYTHING)
    assert counted is not None
    assert counted.count == 1


def test_a_skipped_record_whose_transaction_fails_is_not_noted(partition: Partition) -> None:
    partition.processor.skip(record(sale(0), 0))
    partition.processor.aborted()
    partition.processor.revoked(0)
    assert partition.processor.assigned(0) == {}


def test_what_is_counted_is_what_was_committed(partition: Partition) -> None:
    listing = ListingCreated(
        listing_id="new",
        seller_id="anna",
        category="A",
        currency="GBP",
        images=(ImageReference(uri="https://example.org/1.jpg"),),
        listed_at=START,
    )
    events: list[StatsInput] = [sale(0), sale(0), sale(1), reversal(1), reversal(2), listing]
    batch = [record(event, offset) for offset, event in enumerate(events)]
    partition.processor.process(batch)
    partition.processor.aborted()
    assert partition.counted("counted") is None
    assert partition.enriched() == 0
    partition.commit(partition.processor.process(batch))
    counts = {name: partition.counted(name) for name in ("counted", "duplicate", "parked")}
    assert counts == {"counted": 2, "duplicate": 1, "parked": 1}
    assert partition.counted("taken_back") == 1
    assert partition.enriched() == 1
