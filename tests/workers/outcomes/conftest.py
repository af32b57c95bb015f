from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from schemas import cloudevents
from schemas.base import Event
from schemas.image import ImageReference
from schemas.listing import ListingEnriched
from schemas.partitioner import partition_for
from schemas.sale import ItemSold, SaleReversed
from schemas.statistics import Scope, ScopeStatistics, Statistics
from schemas.suggestion import PriceSuggested, Reason, ReuploadReason, ReuploadRequested
from workers.outcomes.ledger import Change
from workers.outcomes.processor import OutcomesProcessor, Turn
from workers.runtime.metrics import OutcomesMetrics, RoutingMetrics
from workers.runtime.processing import Record
from workers.runtime.routing import SellerRouter

PARTITIONS = 2
START = datetime(2026, 1, 1, tzinfo=UTC)
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class MemoryLedger:
    """The table of facts as sorted lists."""

    def __init__(self) -> None:
        self.tables: dict[int, dict[bytes, bytes]] = {}
        self.written = 0

    def range(self, partition: int, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        table = self.tables.setdefault(partition, {})
        keys = sorted(table)
        for key in keys[bisect.bisect_left(keys, start) :]:
            yield key, table[key]

    def write(self, changes: Iterable[Change]) -> None:
        for partition, key, value in changes:
            self.written += 1
            table = self.tables.setdefault(partition, {})
            if value is None:
                table.pop(key, None)
            else:
                table[key] = value


class Story:
    """Events about listings, by the day on which they happen (a number from 1 January 2026 on)."""

    @staticmethod
    def day(day: float) -> datetime:
        return START + timedelta(days=day)

    @staticmethod
    def statistics(count: int = 5, currency: str = "GBP") -> Statistics:
        scope = ScopeStatistics(q1=1, q2=2, q3=3, mean=2, count=count, source=Scope.SELLER)
        return Statistics(currency=currency, seller=scope, category=scope, overall=scope)

    @staticmethod
    def listed(
        listing: str = "l1", *, day: float = 0, seller: str = "s1", **more: Any
    ) -> ListingEnriched:
        return ListingEnriched(
            listing_id=listing,
            seller_id=seller,
            category="Toys > Cars",
            currency=more.pop("currency", "GBP"),
            images=(ImageReference(uri=f"https://photos.example/{listing}.jpg"),),
            listed_at=Story.day(day),
            statistics=Story.statistics(),
            **more,
        )

    @staticmethod
    def priced(
        price: int = 1000,
        *,
        listing: str = "l1",
        day: float = 0,
        seller: str = "s1",
        control: bool | None = None,
        currency: str = "GBP",
        model: str = "m1",
    ) -> PriceSuggested:
        return PriceSuggested(
            listing_id=listing,
            seller_id=seller,
            category="Toys > Cars",
            currency=currency,
            price_minor=price,
            low_minor=price // 2,
            high_minor=price * 2,
            range_probability=0.8,
            confidence=0.75,
            statistics=Story.statistics(),
            model_version=model,
            listed_at=Story.day(day),
            control=control,
        )

    @staticmethod
    def refused(
        *, listing: str = "l1", day: float = 0, seller: str = "s1", model: str = "m1"
    ) -> ReuploadRequested:
        return ReuploadRequested(
            listing_id=listing,
            seller_id=seller,
            category="Toys > Cars",
            reasons=(Reason(code=ReuploadReason.BLURRED, hint="Hold still."),),
            confidence=0.25,
            model_version=model,
            listed_at=Story.day(day),
        )

    @staticmethod
    def sold(
        price: int = 1100,
        *,
        day: float = 2,
        transaction: str = "t1",
        listing: str = "l1",
        seller: str = "s1",
        currency: str = "GBP",
    ) -> ItemSold:
        return ItemSold(
            transaction_id=transaction,
            listing_id=listing,
            seller_id=seller,
            category="Toys > Cars",
            price_minor=price,
            currency=currency,
            sold_at=Story.day(day),
        )

    @staticmethod
    def taken_back(
        refunded: int | None = None,
        *,
        day: float = 5,
        transaction: str = "t1",
        listing: str = "l1",
        seller: str = "s1",
    ) -> SaleReversed:
        return SaleReversed(
            transaction_id=transaction,
            listing_id=listing,
            seller_id=seller,
            reversed_at=Story.day(day),
            refunded_minor=refunded,
        )

    @staticmethod
    def topic(event: Event) -> str:
        match event:
            case ListingEnriched():
                return "listing.enriched"
            case PriceSuggested():
                return "price.shadow" if event.control else "price.suggested"
            case ReuploadRequested():
                return "reupload.requested"
            case _:
                return "transactions"

    @staticmethod
    def headers(event: Any, event_id: str | None = None) -> list[tuple[str, bytes]]:
        """The version of a listing is named by its id unless another name is given."""
        own = getattr(event, "transaction_id", event.listing_id)
        return cloudevents.encode(
            event, event_id=event_id or own, source="/test", time=START, traceparent=TRACE
        )

    @staticmethod
    def record(event: Any, *, event_id: str | None = None, **more: Any) -> Record:
        home = partition_for(event.seller_id.encode(), PARTITIONS)
        return Record(
            topic=more.get("topic", Story.topic(event)),
            partition=more.get("partition", home),
            offset=more.get("offset", 0),
            timestamp_ms=1_767_225_600_000,
            key=event.seller_id.encode(),
            value=event.to_bytes(),
            headers=Story.headers(event, event_id),
        )


class Desk:
    """A processor on a table in memory; what a turn says is done at once unless told otherwise."""

    def __init__(self, processor: OutcomesProcessor, ledger: MemoryLedger) -> None:
        self.processor = processor
        self.ledger = ledger

    def process(self, records: Sequence[Record]) -> Turn:
        turn = self.processor.process(records)
        self.ledger.write(turn.changes)
        return turn

    def due(self, partition: int, *, cut_short: bool = False) -> Turn:
        turn = self.processor.due(partition)
        self.ledger.write(turn.changes)
        if not cut_short:
            self.ledger.write(turn.forgotten)
        return turn


@pytest.fixture(scope="session")
def story() -> Story:
    return Story()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def desk(registry: CollectorRegistry) -> Desk:
    return new_desk(registry)


@pytest.fixture(scope="session")
def open_desk() -> Callable[[], Desk]:
    return lambda: new_desk(CollectorRegistry())


def new_desk(registry: CollectorRegistry) -> Desk:
    ledger = MemoryLedger()
    processor = OutcomesProcessor(
        ledger,
        router=SellerRouter(partitions=PARTITIONS, metrics=RoutingMetrics(registry)),
        metrics=OutcomesMetrics(registry),
        censor_after=60,
        memory=30,
        max_future=600,
        idle=5.0,
        max_facts=16,
        now=lambda: (START + timedelta(days=1_000)).timestamp(),
    )
    for partition in range(PARTITIONS):
        processor.assigned(partition)
    return Desk(processor, ledger)
