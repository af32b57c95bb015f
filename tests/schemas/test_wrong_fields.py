"""Each wrong field of each event, by an independent statement of what is right."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.base import Event
from schemas.catalogue import EVENTS
from schemas.currencies import MINOR_UNIT_DIGITS
from schemas.errors import EventError

Check = Callable[[Any], bool]
Named = Callable[[str, str], bool]
Read = Callable[[str, Any], Event]
Refusal = Callable[[str, Mapping[str, Any]], str]

BY_NAME = {event.__name__: event for event in EVENTS}


def text(least: int, most: int, *, printable: bool = False) -> Check:
    def right(value: Any) -> bool:
        if not isinstance(value, str) or not least <= len(value) <= most:
            return False
        return not printable or not re.search(
            "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]", value
        )

    return right


def whole(least: int, most: int) -> Check:
    return lambda value: type(value) is int and least <= value <= most


def number(least: float, most: float) -> Check:
    return lambda value: type(value) in (int, float) and least <= value <= most


def time(value: Any) -> bool:
    return isinstance(value, str) and value[:4].isdecimal() and value.endswith("Z")


def matching(pattern: str, limit: int) -> Check:
    return lambda v: isinstance(v, str) and len(v) <= limit and bool(re.fullmatch(pattern, v))


def optional(check: Check) -> Check:
    return lambda value: value is None or check(value)


def one_of(*values: str) -> Check:
    return lambda value: isinstance(value, str) and value in values


def array(least: int, most: int) -> Check:
    return lambda value: isinstance(value, list) and least <= len(value) <= most


def pairs(value: Any) -> bool:
    return isinstance(value, dict)


def truth(value: Any) -> bool:
    return isinstance(value, bool)


ident = text(1, 128, printable=True)
category = text(1, 512, printable=True)
currency = one_of(*MINOR_UNIT_DIGITS)
price = whole(1, 10**15)
share = number(0, 1)
sha256 = matching("[0-9a-f]{64}", 64)

LISTING: dict[str, Check] = {
    "listing_id": ident,
    "seller_id": ident,
    "category": category,
    "currency": currency,
    "images": array(1, 12),
    "images[0]": pairs,
    "images[0].uri": matching("[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20\x7f-\x9f]+", 4096),
    "images[0].sha256": optional(sha256),
    "images[0].content_type": optional(text(1, 128, printable=True)),
    "images[0].size_bytes": optional(whole(1, 2**53 - 1)),
    "listed_at": time,
    "brand": optional(text(1, 256)),
    "attributes": array(0, 64),
    "attributes[0]": text(1, 256),
    "specifications": pairs,
    "specifications.size": text(1, 256),
    "title": optional(text(0, 1024)),
}
STATISTICS: dict[str, Check] = {
    "statistics": pairs,
    "statistics.currency": currency,
    **{
        f"statistics.{scope}{field}": check
        for scope in ("seller", "category", "overall")
        for field, check in {
            "": pairs,
            **dict.fromkeys((".q1", ".q2", ".q3", ".mean"), whole(0, 10**15)),
            ".count": whole(0, 2**53 - 1),
            ".source": one_of("seller", "category", "global", "none"),
        }.items()
    },
}
ANSWER: dict[str, Check] = {
    "listing_id": ident,
    "seller_id": ident,
    "category": category,
    "model_version": ident,
    "listed_at": time,
}
REASONS = "blurred too_dark too_bright low_resolution unreadable unavailable inadequate_information"

FIELDS: dict[str, dict[str, Check]] = {
    "ListingCreated": LISTING,
    "ListingEnriched": {
        **{
            name: check
            for name, check in LISTING.items()
            if not name.startswith(("attributes[", "specifications."))
        },
        **STATISTICS,
    },
    "ItemSold": {
        "transaction_id": ident,
        "listing_id": ident,
        "seller_id": ident,
        "category": category,
        "price_minor": price,
        "currency": currency,
        "sold_at": time,
    },
    "SaleReversed": {
        "transaction_id": ident,
        "listing_id": ident,
        "seller_id": ident,
        "reversed_at": time,
        "refunded_minor": optional(price),
    },
    "PriceSuggested": {
        **ANSWER,
        "control": optional(truth),
        **STATISTICS,
        "currency": currency,
        "price_minor": price,
        "low_minor": price,
        "high_minor": price,
        "range_probability": share,
        "confidence": share,
    },
    "ReuploadRequested": {
        **ANSWER,
        "reasons": array(1, 16),
        "reasons[0]": pairs,
        "reasons[0].code": one_of(*REASONS.split()),
        "reasons[0].hint": text(1, 512),
        "reasons[0].image": optional(whole(0, 11)),
        "confidence": optional(share),
    },
    "SuggestionScored": {
        "listing_id": ident,
        "seller_id": ident,
        "category": category,
        "transaction_id": ident,
        "currency": currency,
        "suggested_minor": optional(price),
        "sold_minor": price,
        "log_error": optional(number(-1.7976931348623157e308, 1.7976931348623157e308)),
        "within_20_percent": optional(truth),
        "inside_range": optional(truth),
        "days_to_sale": number(0, 1.7976931348623157e308),
        "model_version": ident,
        "sold_at": time,
        "control": optional(truth),
    },
    "ModelPublished": {
        "model_version": ident,
        "uri": text(1, 4096, printable=True),
        "manifest_sha256": sha256,
        "backbone": ident,
        "metrics": pairs,
        "metrics.male": number(-1.7976931348623157e308, 1.7976931348623157e308),
        "parent_version": optional(ident),
        "published_at": time,
        "role": one_of("live", "canary", "shadow"),
        "share": optional(lambda value: share(value) and value > 0),
    },
    "DeadLetter": {
        "topic": matching("[A-Za-z0-9._-]{1,249}", 249),
        "partition": whole(0, 2**31 - 1),
        "offset": whole(0, 2**63 - 1),
        "stage": lambda value: isinstance(value, str) and value != "",
        "error_class": lambda value: isinstance(value, str) and value != "",
        "message": lambda value: isinstance(value, str),
        "attempt": whole(1, 2**31 - 1),
        "failed_at": time,
        "omitted_bytes": optional(whole(1, 2**53 - 1)),
    },
}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
edges: st.SearchStrategy[Any] = st.sampled_from(
    [
        *("", "x" * 129, "x" * 513, "x" * 5000, "a\x00b", "a\nb", "\u202eab", "gbp", "XXX", "12"),
        *(0, -1, 12, 13, 10**15 + 1, 2**53, 2**63, 2**64, 10**400, 12.0, 0.5, 1e3, -0.1, 1.1),
        *(float("nan"), float("inf"), True, None, [], {}, [1], [{}] * 13, ["x"] * 65),
        *("2026-01-31", "2026-01-31T12:00:00", "2026-01-31 12:00", "1700000000", 1700000000),
        *("photo.jpg", "//host/photo.jpg", "https://host/a b", "https:", "1http://x", "g" * 64),
        *("A" * 64, "a" * 63, "a" * 65),
    ]
)


def test_every_field_is_here() -> None:
    for name, fields in FIELDS.items():
        assert {path for path in fields if path.isidentifier()} == set(BY_NAME[name].model_fields)
    assert set(FIELDS) == set(BY_NAME)


@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name in FIELDS for path in FIELDS[name]]
)
@given(data=st.data())
@settings(max_examples=25)
def test_a_wrong_field_is_named(
    name: str, path: str, data: st.DataObject, refusal: Refusal, named: Named
) -> None:
    right = FIELDS[name][path]
    wrong = data.draw((edges | anything).filter(lambda value: not right(value)))
    message = refusal(name, {path: wrong})
    assert named(path, message), message
    assert BY_NAME[name].ce_type() in message
    assert len(message) < 2200


@pytest.mark.parametrize("name", FIELDS)
def test_all_wrong_fields_are_named_at_once(name: str, refusal: Refusal, named: Named) -> None:
    top = [path for path in FIELDS[name] if path.isidentifier()]
    wrong: dict[str, Any] = {path: [[]] for path in top}
    message = refusal(name, wrong)
    assert all(named(path, message) for path in top), message


@pytest.mark.parametrize("name", FIELDS)
def test_every_absent_field_is_named(name: str, read: Read) -> None:
    required = [path for path, field in BY_NAME[name].model_fields.items() if field.is_required()]
    with pytest.raises(EventError) as caught:
        read(name, {})
    assert all(f"{path}: Field required" in str(caught.value) for path in required)


@pytest.mark.parametrize("name", FIELDS)
@given(extra=st.dictionaries(st.text("abcdef", min_size=7, max_size=9), anything, max_size=3))
@settings(max_examples=30)
def test_unknown_fields_are_ignored(
    name: str, extra: dict[str, Any], examples: dict[str, dict[str, Any]], read: Read
) -> None:
    assert read(name, {**extra, **examples[name]}) == read(name, examples[name])


@pytest.mark.parametrize("value", [[], "x", 1, True, None, 1.5])
def test_the_value_must_be_an_object(value: Any, read: Read) -> None:
    with pytest.raises(EventError, match="value: Input should be an object"):
        read("ItemSold", value)
