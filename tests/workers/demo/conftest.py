from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.base import Event
from schemas.cloudevents import encode
from schemas.dead_letter import DeadLetter, dead_letter_topic
from schemas.image import ImageReference
from schemas.listing import ListingCreated, ListingEnriched
from schemas.sale import ItemSold, SaleReversed
from schemas.statistics import Statistics
from schemas.suggestion import PriceSuggested, Reason, ReuploadReason, ReuploadRequested
from workers.demo.check import CHECKED_TOPICS
from workers.demo.logs import LogEntry

START = datetime(2026, 3, 1, tzinfo=UTC)


class Logs:
    """Logs made by hand: each call appends one record; times are seconds from a start."""

    def __init__(self) -> None:
        self.topics: dict[str, list[LogEntry]] = {topic: [] for topic in CHECKED_TOPICS}

    def rewrite(self, topic: str, old: str, new: str) -> None:
        """Put another text into the values of a topic, where its records carry the old one."""
        self.topics[topic] = [
            replace(entry, value=(entry.value or b"").replace(old.encode(), new.encode()))
            for entry in self.topics[topic]
        ]

    def raw(self, topic: str, value: bytes, headers: dict[str, bytes | None], at: float) -> int:
        log = self.topics[topic]
        moment = int((START + timedelta(seconds=at)).timestamp() * 1000)
        log.append(LogEntry(len(log), moment, b"seller", value, headers))
        return len(log) - 1

    def add(self, topic: str, event: Event, event_id: str, at: float) -> int:
        headers = encode(event, event_id=event_id, source="/test", time=START)
        return self.raw(topic, event.to_bytes(), dict(headers), at)

    def sale(
        self,
        name: str,
        price: int,
        at: float,
        *,
        seller: str = "seller",
        category: str = "Toys",
        currency: str = "GBP",
        transaction: str = "t",
    ) -> int:
        event = ItemSold(
            transaction_id=transaction,
            listing_id=name,
            seller_id=seller,
            category=category,
            price_minor=price,
            currency=currency,
            sold_at=START,
        )
        return self.add("transactions", event, f"sale-{name}-{transaction}", at)

    def reversal(self, name: str, at: float, *, transaction: str = "t") -> int:
        event = SaleReversed(
            transaction_id=transaction, listing_id=name, seller_id="seller", reversed_at=START
        )
        return self.add("transactions", event, f"reversal-{name}-{transaction}", at)

    def listing(
        self,
        name: str,
        at: float,
        *,
        seller: str = "seller",
        category: str = "Toys",
        currency: str = "GBP",
        title: str | None = None,
        uri: str = "file:///photo.jpg",
    ) -> ListingCreated:
        event = ListingCreated(
            listing_id=name,
            seller_id=seller,
            category=category,
            currency=currency,
            images=(ImageReference(uri=uri),),
            listed_at=START,
            title=title,
        )
        self.add("listing.created", event, name, at)
        return event

    def enriched(self, listing: ListingCreated, statistics: dict[str, Any], at: float) -> int:
        event = ListingEnriched(
            **dict(listing), statistics=Statistics.model_validate(statistics, strict=False)
        )
        return self.add("listing.enriched", event, listing.listing_id, at)

    def price(self, listing: ListingCreated, statistics: dict[str, Any], price: int) -> int:
        event = PriceSuggested(
            **listing.model_dump(include={"listing_id", "seller_id", "category", "currency"}),
            price_minor=price,
            low_minor=price // 2,
            high_minor=price * 2,
            range_probability=0.8,
            confidence=0.7,
            statistics=Statistics.model_validate(statistics, strict=False),
            model_version="m",
            listed_at=START,
        )
        return self.add("price.suggested", event, listing.listing_id, 0)

    def reupload(
        self,
        listing: ListingCreated,
        hint: str = "Take it by daylight.",
        code: ReuploadReason = ReuploadReason.TOO_DARK,
    ) -> int:
        event = ReuploadRequested(
            **listing.model_dump(include={"listing_id", "seller_id", "category"}),
            reasons=(Reason(code=code, hint=hint, image=0),),
            model_version="m",
            listed_at=START,
        )
        return self.add("reupload.requested", event, listing.listing_id, 0)

    def planted(self, name: str, statistics: dict[str, Any], code: ReuploadReason) -> None:
        """Add a planted listing with an unusable photo, and its answer."""
        listing = self.listing(f"planted-{name}", at=2)
        entry = self.topics["listing.created"][-1]
        self.topics["listing.created"][-1] = replace(
            entry, headers={**entry.headers, "planted": name.encode()}
        )
        self.enriched(listing, statistics, at=2)
        self.reupload(listing, code=code)

    def dead(self, topic: str, offset: int, stage: str = "decode") -> int:
        entry = self.topics[topic][offset]
        letter = DeadLetter(
            topic=topic,
            partition=0,
            offset=offset,
            stage=stage,
            error_class="EventError",
            message="wrong",
            failed_at=START,
        )
        headers = {**entry.headers, **dict(letter.to_headers())}
        return self.raw(dead_letter_topic(topic), entry.value or b"", headers, 0)


@pytest.fixture
def logs() -> Logs:
    return Logs()


@pytest.fixture
def scope() -> Callable[..., dict[str, Any]]:
    """The statistics of one scope as JSON: `scope(source, q1, q2, q3, mean, count)`."""

    def make(source: str, q1: int, q2: int, q3: int, mean: int, count: int) -> dict[str, Any]:
        return {"q1": q1, "q2": q2, "q3": q3, "mean": mean, "count": count, "source": source}

    return make
