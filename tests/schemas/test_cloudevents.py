from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import MAX_EVENT_BYTES
from schemas.catalogue import EVENTS
from schemas.cloudevents import REQUIRED_HEADERS, Envelope, decode, encode
from schemas.errors import EventError
from schemas.image import ImageReference
from schemas.listing import ListingCreated, ListingEnriched
from schemas.sale import ItemSold, SaleReversed
from schemas.statistics import Scope, ScopeStatistics, Statistics

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
REVERSED = SaleReversed(
    transaction_id="t-1",
    listing_id="l-1",
    seller_id="s-1",
    reversed_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
)
HEADERS: dict[str, bytes | None] = {
    "ce_specversion": b"1.0",
    "ce_id": b"e-1",
    "ce_source": b"/shop/payments",
    "ce_type": b"com.secondsight.sale.reversed.v1",
    "ce_time": b"2026-01-31T12:00:00Z",
    "content-type": b"application/json",
}
TRANSACTIONS = (ItemSold, SaleReversed)


def refusal(changes: dict[str, bytes | None], value: bytes | None = REVERSED.to_bytes()) -> str:
    with pytest.raises(EventError) as caught:
        decode(list({**HEADERS, **changes}.items()), value, TRANSACTIONS)
    message = str(caught.value)
    assert len(message) < 2200
    assert message.isprintable()
    return message


def test_headers_are_those_of_the_kafka_binding() -> None:
    headers = encode(
        REVERSED,
        event_id="e-1",
        source="/shop/payments",
        time=datetime(2026, 1, 31, 14, 0, 0, 5, timezone(timedelta(hours=2))),
        subject="l-1",
        traceparent=TRACE,
    )
    assert dict(headers) == {
        **HEADERS,
        "ce_time": b"2026-01-31T12:00:00.000005Z",
        "ce_subject": b"l-1",
        "traceparent": TRACE,
    }
    assert len(headers) == 8
    assert REVERSED.to_bytes() == (
        b'{"transaction_id":"t-1","listing_id":"l-1","seller_id":"s-1",'
        b'"reversed_at":"2026-01-31T12:00:00Z"}'
    )


def test_optional_headers_are_left_out() -> None:
    headers = encode(REVERSED, event_id="1", source="/x", time=datetime.now(UTC))
    assert [name for name, _ in headers] == [
        *("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type")
    ]


def test_a_record_is_read() -> None:
    event, envelope = decode(list(HEADERS.items()), REVERSED.to_bytes(), TRANSACTIONS)
    assert event == REVERSED
    assert envelope == Envelope(
        id="e-1",
        source="/shop/payments",
        type="com.secondsight.sale.reversed.v1",
        time=datetime(2026, 1, 31, 12, tzinfo=UTC),
    )


def test_other_headers_and_repeated_ones_are_no_harm() -> None:
    headers = [("ce_id", b"older"), ("x", None), ("dead_letter_topic", b"\xff"), *HEADERS.items()]
    assert decode(headers, REVERSED.to_bytes(), TRANSACTIONS)[1].id == "e-1"


@pytest.mark.parametrize("name", REQUIRED_HEADERS)
def test_a_missing_header_is_named(name: str) -> None:
    others = [header for header in HEADERS.items() if header[0] != name]
    with pytest.raises(EventError, match=rf"^missing headers: {name} \("):
        decode(others, REVERSED.to_bytes(), TRANSACTIONS)
    assert f"missing headers: {name} (" in refusal({name: None})


@pytest.mark.parametrize(
    "headers",
    [None, [], [("content-type", b"application/cloudevents+json")], [("CE_ID", b"1")]],
    ids=["none", "empty", "structured mode", "upper case"],
)
@pytest.mark.parametrize("value", [b"{}", b"", None])
def test_a_record_without_cloudevents_headers(headers: Any, value: bytes | None) -> None:
    with pytest.raises(EventError) as caught:
        decode(headers, value, TRANSACTIONS)
    for name in ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"):
        assert name in str(caught.value)
    assert "binary content mode" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ce_specversion": b"0.3"}, "ce_specversion must be 1.0, not '0.3'"),
        (
            {"content-type": b"text/plain"},
            "content-type must be application/json, not 'text/plain'",
        ),
        ({"content-type": b"application/cloudevents+json"}, "content-type must be"),
        ({"content-type": b"application/jsonx"}, "content-type must be"),
        ({"ce_id": b""}, "ce_id is empty"),
        ({"ce_id": b"x" * 129}, "ce_id has 129 characters, more than the 128 allowed"),
        ({"ce_id": b"a\nb"}, "ce_id has control"),
        ({"ce_id": b"\xff"}, "ce_id is not UTF-8"),
        ({"ce_source": b""}, "ce_source is empty"),
        ({"ce_source": b"/" * 513}, "ce_source has 513 characters"),
        ({"ce_subject": b""}, "ce_subject is empty"),
        ({"ce_subject": b"\xc3"}, "ce_subject is not UTF-8"),
        ({"ce_time": b"yesterday"}, "ce_time must be an RFC 3339 time"),
        ({"ce_time": b"2026-01-31T12:00:00"}, "ce_time must be an RFC 3339 time with a zone"),
        ({"ce_time": b"1769860800"}, "ce_time must be an RFC 3339 time"),
        ({"ce_type": b"com.secondsight.sale.reversed.v2"}, "com.secondsight.sale.reversed.v1"),
        ({"ce_type": b"com.secondsight.sale.reversed.v2"}, "unknown version"),
        ({"ce_type": b"com.secondsight.sale.reversed.v10"}, "unknown version"),
        ({"ce_type": b"com.secondsight.sale.reversed"}, "is unknown here"),
        ({"ce_type": b"com.secondsight.listing.created.v1"}, "is unknown here; expected: com."),
        ({"ce_type": b"x" * 100_000}, "ce_type has 100000 characters"),
        ({"ce_type": b"\x1b[2J"}, "ce_type has control"),
    ],
)
def test_a_wrong_header_is_named(changes: dict[str, bytes | None], said: str) -> None:
    assert said in refusal(changes)


def test_all_wrong_headers_are_named_at_once() -> None:
    message = refusal(dict.fromkeys(REQUIRED_HEADERS, b"\xff"))
    assert all(f"{name} is not UTF-8" in message for name in REQUIRED_HEADERS)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "the value is empty"),
        (b"", "the value is empty"),
        (b" ", "Invalid JSON"),
        (b"not json", "Invalid JSON"),
        (b'{"transaction_id": "t"', "Invalid JSON"),
        (b"\xef\xbb\xbf{}", "Invalid JSON"),
        (b'{"transaction_id": "\xff"}', "the value is not UTF-8 (byte 20)"),
        ("{}".encode("utf-16"), "the value is not UTF-8 (byte 0)"),
        (b"[" * 100_000, "Invalid JSON"),
        (b"\x00" * MAX_EVENT_BYTES, "Invalid JSON"),
        (b"\x00" * (MAX_EVENT_BYTES + 1), "the value has 1048577 bytes, more than the 1048576"),
        (b"{}", "transaction_id: Field required"),
    ],
)
def test_a_wrong_value_is_explained(value: bytes | None, said: str) -> None:
    assert said in refusal({}, value)


@given(
    value=st.binary(max_size=64),
    headers=st.dictionaries(st.sampled_from(list(HEADERS)), st.binary()),
)
def test_nonsense_is_an_event_error_and_nothing_else(
    value: bytes, headers: dict[str, bytes]
) -> None:
    with pytest.raises(EventError):
        decode(list({**HEADERS, **headers}.items()), value, TRANSACTIONS)


@pytest.mark.parametrize(
    "text", [b"application/json; charset=utf-8", b"Application/JSON", b"application/json ;x=y"]
)
def test_content_type_may_have_parameters_and_capitals(text: bytes) -> None:
    headers = list({**HEADERS, "content-type": text}.items())
    assert decode(headers, REVERSED.to_bytes(), TRANSACTIONS)[0] == REVERSED


@pytest.mark.parametrize("trace", [b"", b"\xff", TRACE + b"\n", TRACE.upper(), b"0" * 100_000])
def test_a_trace_that_is_none_is_dropped(trace: bytes) -> None:
    headers = list({**HEADERS, "traceparent": trace}.items())
    assert decode(headers, REVERSED.to_bytes(), TRANSACTIONS)[1].traceparent is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"event_id": ""}, "ce_id is empty"),
        ({"event_id": "x" * 129}, "ce_id has 129 characters"),
        ({"event_id": "\ud800"}, "ce_id is not UTF-8"),
        ({"source": ""}, "ce_source is empty"),
        ({"source": "/a\r\nb"}, "ce_source has control"),
        ({"subject": ""}, "ce_subject is empty"),
        ({"time": datetime(2026, 1, 31)}, "ce_time must have a time zone"),
    ],
)
def test_what_cannot_be_read_is_not_written(changes: dict[str, Any], said: str) -> None:
    arguments: dict[str, Any] = {
        "event_id": "1",
        "source": "/x",
        "time": datetime.now(UTC),
        **changes,
    }
    with pytest.raises(EventError, match=said):
        encode(REVERSED, **arguments)


def listing_of(total: int) -> ListingCreated:
    """A listing of that many bytes as JSON, padded by its photos."""
    photos = ["data:," + "A" * 200_000] * 5
    for _ in range(2):  # once to measure, once to fit
        listing = ListingCreated(
            listing_id="l",
            seller_id="s",
            category="c",
            currency="GBP",
            images=tuple(ImageReference(uri=uri) for uri in photos),
            listed_at=datetime(2026, 1, 31, tzinfo=UTC),
        )
        photos[-1] += "A" * (total - len(listing.model_dump_json(exclude_none=True)))
    return listing


def test_the_largest_listing_fits_with_its_statistics_and_a_larger_one_is_refused() -> None:
    listing = listing_of(MAX_EVENT_BYTES)
    value = listing.to_bytes()
    assert len(value) == MAX_EVENT_BYTES
    headers = encode(listing, event_id="1", source="/x", time=listing.listed_at)
    assert decode(headers, value, (ListingCreated,))[0] == listing

    most = ScopeStatistics(
        q1=10**15, q2=10**15, q3=10**15, mean=10**15, count=2**53 - 1, source=Scope.CATEGORY
    )
    statistics = Statistics(currency="GBP", seller=most, category=most, overall=most)
    enriched = ListingEnriched(**dict(listing), statistics=statistics)
    headers = encode(enriched, event_id="1", source="/x", time=listing.listed_at)
    assert decode(headers, enriched.to_bytes(), (ListingEnriched,))[0] == enriched

    with pytest.raises(EventError, match="has 1048577 bytes, more than the 1048576 allowed"):
        listing_of(MAX_EVENT_BYTES + 1).to_bytes()


def test_types_name_event_and_version_and_are_unique() -> None:
    assert ListingCreated.ce_type() == "com.secondsight.listing.created.v1"
    assert len({event.ce_type() for event in EVENTS}) == len(EVENTS) == 9
