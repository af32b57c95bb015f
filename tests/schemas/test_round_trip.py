from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import Event
from schemas.catalogue import EVENTS
from schemas.cloudevents import Envelope, decode, encode
from schemas.currencies import MINOR_UNIT_DIGITS
from schemas.dead_letter import DeadLetter
from schemas.image import ImageReference
from schemas.listing import ListingCreated, ListingEnriched
from schemas.model import ModelPublished, ModelRole
from schemas.sale import ItemSold, SaleReversed
from schemas.statistics import Scope, ScopeStatistics, Statistics
from schemas.suggestion import (
    PriceSuggested,
    Reason,
    ReuploadReason,
    ReuploadRequested,
    SuggestionScored,
)

REFUSED = {chr(c) for c in (*range(32), *range(0x7F, 0xA0), 0xFEFF)} | {
    chr(c) for c in (*range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
printable = st.characters(exclude_categories=["Cs"]).filter(lambda c: c not in REFUSED)
ids = st.text(printable, min_size=1, max_size=128)
categories = st.text(printable, min_size=1, max_size=60)
labels = st.text(min_size=1, max_size=30)
times = st.datetimes(
    min_value=datetime(1, 1, 2),
    max_value=datetime(9999, 12, 30),
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))),
)
currencies = st.sampled_from(sorted(MINOR_UNIT_DIGITS))
prices = st.integers(1, 10**15)
shares = st.floats(0.0, 1.0)
finite = st.floats(allow_nan=False, allow_infinity=False)
sums = st.text("0123456789abcdef", min_size=64, max_size=64)
uris = st.one_of(
    st.text("abc/-._~%20é", min_size=1, max_size=40).map(lambda rest: f"https://{rest}"),
    st.integers(0, 256 * 1024 - 30).map(lambda n: "data:image/png;base64," + "A" * n),
)


def made(event: type[Any], **fields: Any) -> st.SearchStrategy[Any]:
    return st.builds(event, **fields)


none_yet = st.just(ScopeStatistics(q1=0, q2=0, q3=0, mean=0, count=0, source=Scope.NONE))
some = st.builds(
    lambda quartiles, mean, count, source: ScopeStatistics(
        q1=quartiles[0], q2=quartiles[1], q3=quartiles[2], mean=mean, count=count, source=source
    ),
    st.lists(prices, min_size=3, max_size=3).map(sorted),
    prices,
    st.integers(0, 2**53 - 1),
    st.sampled_from([Scope.SELLER, Scope.CATEGORY, Scope.GLOBAL]),
)
scope = none_yet | some
statistics = made(Statistics, currency=currencies, seller=scope, category=scope, overall=scope)
image = made(
    ImageReference,
    uri=uris,
    sha256=st.none() | sums,
    content_type=st.none() | st.just("image/jpeg"),
    size_bytes=st.none() | st.integers(1, 2**53 - 1),
)
model = {
    "model_version": ids,
    "uri": st.text(printable, min_size=1, max_size=100),
    "manifest_sha256": sums,
    "backbone": ids,
    "metrics": st.dictionaries(ids, finite, max_size=3),
    "parent_version": st.none() | ids,
    "published_at": times,
}
listing = {
    "listing_id": ids,
    "seller_id": ids,
    "category": categories,
    "currency": currencies,
    "images": st.lists(image, min_size=1, max_size=3).map(tuple),
    "listed_at": times,
    "brand": st.none() | labels,
    "attributes": st.lists(labels, max_size=4).map(tuple),
    "specifications": st.dictionaries(labels, labels, max_size=4),
    "title": st.none() | st.text(max_size=100),
}
answered = {
    "listing_id": ids,
    "seller_id": ids,
    "category": categories,
    "model_version": ids,
    "listed_at": times,
}
suggested = st.builds(
    lambda low_price_high, rest: PriceSuggested(
        low_minor=low_price_high[0],
        price_minor=low_price_high[1],
        high_minor=low_price_high[2],
        **rest,
    ),
    st.lists(prices, min_size=3, max_size=3).map(sorted),
    st.fixed_dictionaries(
        {
            **answered,
            "currency": currencies,
            "range_probability": shares,
            "confidence": shares,
            "statistics": statistics,
        }
    ),
)
sale = {"transaction_id": ids, "listing_id": ids, "seller_id": ids}
reason = made(
    Reason,
    code=st.sampled_from(ReuploadReason),
    hint=st.text(min_size=1, max_size=100),
    image=st.none() | st.integers(0, 11),
)

STRATEGIES: dict[type[Event], st.SearchStrategy[Event]] = {
    ListingCreated: made(ListingCreated, **listing),
    ListingEnriched: made(ListingEnriched, **listing, statistics=statistics),
    ItemSold: made(
        ItemSold,
        **sale,
        category=categories,
        price_minor=prices,
        currency=currencies,
        sold_at=times,
    ),
    SaleReversed: made(SaleReversed, **sale, reversed_at=times),
    PriceSuggested: suggested,
    ReuploadRequested: made(
        ReuploadRequested,
        **answered,
        reasons=st.lists(reason, min_size=1, max_size=3).map(tuple),
        confidence=st.none() | shares,
    ),
    SuggestionScored: made(
        SuggestionScored,
        **sale,
        category=categories,
        currency=currencies,
        suggested_minor=st.none() | prices,
        sold_minor=prices,
        log_error=st.none() | finite,
        within_20_percent=st.none() | st.booleans(),
        inside_range=st.none() | st.booleans(),
        days_to_sale=st.floats(0, allow_infinity=False),
        model_version=ids,
        sold_at=times,
    ),
    ModelPublished: made(ModelPublished, **model)
    | made(ModelPublished, **model, role=st.just(ModelRole.SHADOW))
    | made(
        ModelPublished,
        **model,
        role=st.just(ModelRole.CANARY),
        share=st.floats(0, 1, exclude_min=True),
    ),
    DeadLetter: made(
        DeadLetter,
        topic=st.from_regex(r"\A[A-Za-z0-9._-]{1,249}\Z"),
        partition=st.integers(0, 2**31 - 1),
        offset=st.integers(0, 2**63 - 1),
        stage=st.text(printable, min_size=1, max_size=64),
        error_class=st.text(printable, min_size=1, max_size=256),
        message=st.text(printable, max_size=300),
        attempt=st.integers(1, 2**31 - 1),
        failed_at=times,
        omitted_bytes=st.none() | st.integers(1, 2**53 - 1),
    ),
}
traces = st.from_regex(r"\A[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z").map(str.encode)


def test_every_event_is_here() -> None:
    assert set(STRATEGIES) == set(EVENTS)


@pytest.mark.parametrize("event_class", EVENTS, ids=lambda event: event.__name__)
@given(data=st.data())
def test_every_event_survives_the_trip_to_bytes_and_back(
    event_class: type[Event], data: st.DataObject
) -> None:
    event = data.draw(STRATEGIES[event_class])
    sent = Envelope(
        id=data.draw(ids),
        source=data.draw(ids),
        type=event_class.ce_type(),
        time=data.draw(times),
        subject=data.draw(st.none() | ids),
        traceparent=data.draw(st.none() | traces),
    )
    headers = encode(
        event,
        event_id=sent.id,
        source=sent.source,
        time=sent.time,
        subject=sent.subject,
        traceparent=sent.traceparent,
    )
    value = event.to_bytes()
    decoded, received = decode(headers, value, (event_class,))
    assert type(decoded) is event_class
    assert decoded == event
    assert received == sent
    assert decoded.to_bytes() == value


@given(letter=STRATEGIES[DeadLetter])
def test_a_dead_letter_survives_the_trip_to_headers_and_back(letter: DeadLetter) -> None:
    assert DeadLetter.from_headers(letter.to_headers()) == letter


@given(moment=times)
def test_times_are_kept_to_the_microsecond_and_in_utc(moment: datetime) -> None:
    event = SaleReversed(transaction_id="t", listing_id="l", seller_id="s", reversed_at=moment)
    again = SaleReversed.model_validate_json(event.to_bytes(), strict=True)
    assert again.reversed_at == moment
    assert again.reversed_at.tzinfo is UTC
    text = again.model_dump(mode="json")["reversed_at"]
    assert text.endswith("Z")
    assert ("." in text) == (moment.microsecond > 0)
