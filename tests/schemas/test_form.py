"""Times, ids, photos, fields that depend on one another, and hostile values."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.base import Event
from schemas.image import ImageReference
from schemas.listing import ListingCreated
from schemas.sale import ItemSold, SaleReversed

Examples = dict[str, dict[str, Any]]
Named = Callable[[str, str], bool]
Read = Callable[[str, Any], Event]
Refusal = Callable[[str, Mapping[str, Any]], str]


@pytest.mark.parametrize(
    "value",
    [
        *("2026-01-31T12:00:00", "2026-01-31 12:00:00Z", "2026-01-31", "20260131T120000Z"),
        *("2026-02-30T12:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T12:00:60Z", "1769860800"),
        *("2026-01-31T12:00:00Z\n", "２０26-01-31T12:00:00Z", "0001-01-01T00:00:00+14:00", ""),
        *("9999-12-31T23:59:59-14:00", "0000-01-01T00:00:00Z", "2026-01-31T12:00:00+25:00"),
        *("+12026-01-31T12:00:00Z", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00.1234567890Z"),
        *(1769860800, 1769860800.5, True, None, [], {}),
    ],
)
def test_what_is_no_time(value: Any, refusal: Refusal) -> None:
    assert "listed_at: must" in refusal("ListingCreated", {"listed_at": value})


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00.5Z", datetime(2026, 1, 31, 12, 0, 0, 500000, UTC)),
        ("2026-01-31T12:00:00.123456789Z", datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)),
        ("2026-01-31T13:30:00+01:30", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_is_a_time(value: str, moment: datetime, examples: Examples, read: Read) -> None:
    listing = read("ListingCreated", {**examples["ListingCreated"], "listed_at": value})
    assert isinstance(listing, ListingCreated)
    assert listing.listed_at == moment


def test_a_time_without_a_zone_is_refused_in_python_too() -> None:
    with pytest.raises(ValueError, match="must have a time zone"):
        SaleReversed(
            transaction_id="t", listing_id="l", seller_id="s", reversed_at=datetime(2026, 1, 31)
        )


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("PriceSuggested", {"low_minor": 2501}, "low_minor <= price_minor <= high_minor"),
        ("PriceSuggested", {"high_minor": 2499}, "low_minor <= price_minor <= high_minor"),
        ("ListingEnriched", {"statistics.seller.q1": 2401}, "statistics.seller: q1 <= q2 <= q3"),
        ("ListingEnriched", {"statistics.overall.q3": 1}, "statistics.overall: q1 <= q2 <= q3"),
        ("ListingEnriched", {"statistics.category.q1": 0}, "statistics.category: q1, q2, q3"),
        ("ListingEnriched", {"statistics.category.mean": 0}, "statistics.category: q1, q2, q3"),
        ("ListingEnriched", {"statistics.seller.source": "none"}, "statistics.seller: q1, q2, q3"),
    ],
)
def test_fields_that_contradict_one_another(
    name: str, changes: dict[str, Any], said: str, refusal: Refusal
) -> None:
    assert said in refusal(name, changes)


def test_a_data_uri_may_be_long_and_another_may_not() -> None:
    limit = 256 * 1024
    for start, most in (("data:image/png;base64,", limit), ("DATA:,", limit), ("https://", 4096)):
        fits = start + "A" * (most - len(start))
        assert ImageReference(uri=fits).uri == fits
        with pytest.raises(ValueError, match="uri"):
            ImageReference(uri=fits + "A")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("attributes", [1] * 200_000),
        ("images", [1] * 200_000),
        ("specifications", {"\x1b[31m" + str(n): 1 for n in range(20_000)}),
        ("specifications", {"k" * 500_000: "v"}),
        ("currency", "G" * 500_000),
        ("category", "\x1b]0;" + "c" * 500_000),
    ],
)
def test_hostile_values_are_not_echoed(
    path: str, value: Any, refusal: Refusal, named: Named
) -> None:
    message = refusal("ListingCreated", {path: value})
    assert named(path, message)
    assert len(message) < 2200
    assert message.isprintable()


@pytest.mark.parametrize("path", ["attributes", "images"])
def test_reading_a_list_stops_at_its_first_wrong_element(path: str, refusal: Refusal) -> None:
    message = refusal("ListingCreated", {path: [1, 1], "currency": "?"})
    assert f"{path}[0]: " in message
    assert f"{path}[1]: " not in message
    assert "currency: " in message


@pytest.mark.parametrize("path", ["listing_id", "title", "brand"])
def test_lone_surrogates_are_refused(path: str, examples: Examples, refusal: Refusal) -> None:
    assert "Invalid JSON" in refusal("ListingCreated", {path: "a\ud800b"})
    with pytest.raises(ValueError, match=path):
        ListingCreated.model_validate({**examples["ListingCreated"], path: "a\ud800b"})


@pytest.mark.parametrize("character", ["x", " ", "é", "鞋", "👟", "\u200d"])
def test_ids_have_up_to_128_characters_whatever_their_bytes(
    character: str, examples: Examples, read: Read, refusal: Refusal, named: Named
) -> None:
    sale = read("ItemSold", {**examples["ItemSold"], "seller_id": character * 128})
    assert isinstance(sale, ItemSold)
    assert sale.seller_id == character * 128
    assert named("seller_id", refusal("ItemSold", {"seller_id": character * 129}))
