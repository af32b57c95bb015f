"""From a record to the fact that it tells of a listing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from schemas.base import Event
from schemas.cloudevents import Envelope
from schemas.cloudevents import decode as decode_event
from schemas.listing import ListingEnriched
from schemas.sale import ItemSold, SaleReversed
from schemas.suggestion import PriceSuggested, ReuploadRequested
from schemas.topics import (
    LISTING_ENRICHED,
    PRICE_SHADOW,
    PRICE_SUGGESTED,
    REUPLOAD_REQUESTED,
    TRANSACTIONS,
)
from workers.outcomes.facts import Answered, Fact, Listed, Sold, TakenBack
from workers.runtime.processing import Record

ACCEPTED: Mapping[str, tuple[type[Event], ...]] = {
    LISTING_ENRICHED: (ListingEnriched,),
    PRICE_SUGGESTED: (PriceSuggested,),
    REUPLOAD_REQUESTED: (ReuploadRequested,),
    TRANSACTIONS: (ItemSold, SaleReversed),
    PRICE_SHADOW: (PriceSuggested, ReuploadRequested),
}
"""The inputs, by contract name, and the events that may be in them."""


class FutureEventError(ValueError):
    """The event says that it happened in the future; one such would end the wait for all sales."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a record tells: whose listing it is about, and the fact."""

    seller_id: str
    listing_id: str
    fact: Fact
    traceparent: bytes | None


def read(record: Record, *, now: float, max_future: float) -> Told | None:
    """Return what a record tells; None for the answers of a model in the shadow.

    Args:
        record: of one of the inputs.
        now: seconds since 1970.
        max_future: seconds that an event's time may be ahead of that.

    Raises:
        EventError: it is no event of its topic.
        FutureEventError: its time is too far ahead.
    """
    if record.topic == PRICE_SHADOW and b'"control"' not in (record.value or b""):
        return None
    event, envelope = decode_event(record.headers, record.value, ACCEPTED[record.topic])
    fact = _fact(event, envelope, record)
    if fact is None:
        return None
    if fact.at > datetime.fromtimestamp(now, UTC) + timedelta(seconds=max_future):
        raise FutureEventError(
            f"its time {fact.at.isoformat()} is more than {max_future:.0f} s ahead of this "
            f"worker's clock"
        )
    told: ListingEnriched = event  # type: ignore[assignment]  # all have these two
    return Told(told.seller_id, told.listing_id, fact, envelope.traceparent)


def _fact(event: Event, envelope: Envelope, record: Record) -> Fact | None:
    match event:
        case ListingEnriched():
            return Listed(envelope.id, event.listed_at, record.value or b"")
        case PriceSuggested():
            if record.topic == PRICE_SHADOW and not event.control:
                return None
            return Answered(
                event_id=envelope.id,
                at=event.listed_at,
                category=event.category,
                model_version=event.model_version,
                currency=event.currency,
                price_minor=event.price_minor,
                low_minor=event.low_minor,
                high_minor=event.high_minor,
                confidence=event.confidence,
                control=bool(event.control),
            )
        case ReuploadRequested() if record.topic != PRICE_SHADOW:
            return Answered(
                event_id=envelope.id,
                at=event.listed_at,
                category=event.category,
                model_version=event.model_version,
                confidence=event.confidence,
                reasons=tuple(reason.code.value for reason in event.reasons),
            )
        case ItemSold():
            return Sold(
                transaction_id=event.transaction_id,
                at=event.sold_at,
                price_minor=event.price_minor,
                currency=event.currency,
            )
        case SaleReversed():
            return TakenBack(
                transaction_id=event.transaction_id,
                at=event.reversed_at,
                refunded_minor=event.refunded_minor,
            )
    return None
