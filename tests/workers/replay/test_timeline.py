from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.dataset.rows import Dataset, ListingRow, SaleRow
from schemas.listing import ListingCreated
from schemas.sale import ItemSold, SaleReversed
from workers.replay.timeline import TimedEvent, timeline

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def hours(number: float) -> datetime:
    return DAY + timedelta(hours=number)


def listing(name: str, **changed: Any) -> ListingRow:
    row: dict[str, Any] = {
        "listing_id": name,
        "seller_id": "seller",
        "category": "Toys",
        "images": (Path("/photos") / f"{name}.jpg",),
        "price_minor": 500,
        "currency": "GBP",
        "listed_at": None,
        "sold_at": None,
        "brand": None,
        "attributes": (),
        "specifications": {},
        "title": None,
    }
    return ListingRow(**row | changed)


def sale(name: str, sold_at: datetime, **changed: Any) -> SaleRow:
    row: dict[str, Any] = {
        "transaction_id": f"t-{name}",
        "listing_id": name,
        "seller_id": "seller",
        "category": "Toys",
        "price_minor": 500,
        "currency": "GBP",
        "sold_at": sold_at,
        "reversed": False,
    }
    return SaleRow(**row | changed)


def dataset(listings: list[ListingRow], sales: list[SaleRow] | None = None) -> Dataset:
    return Dataset("some", "GBP", Path("/photos"), listings, sales or [], [])


def told(events: list[TimedEvent]) -> list[tuple[str, str]]:
    return [(type(timed.event).__name__, timed.subject) for timed in events]


def test_events_come_by_time_and_at_one_moment_the_listing_first() -> None:
    data = dataset(
        [listing("b", listed_at=hours(2)), listing("a", listed_at=hours(0))],
        [sale("a", hours(1)), sale("x", hours(2)), sale("b", hours(3))],
    )

    assert told(timeline(data)) == [
        ("ListingCreated", "a"),
        ("ItemSold", "a"),
        ("ListingCreated", "b"),
        ("ItemSold", "x"),
        ("ItemSold", "b"),
    ]


def test_a_listing_is_told_whole() -> None:
    row = listing(
        "a",
        listed_at=hours(1.5),
        images=(Path("/photos/with blank & ü.jpg"), Path("/photos/2.jpg")),
        brand="Brand",
        attributes=("red", "wool"),
        specifications={"size": "M"},
        title="A thing",
    )

    (timed,) = timeline(dataset([row]), on_skip=pytest.fail)[:1]

    assert timed.topic == "listing.created"
    assert timed.key == b"seller"
    assert timed.time == timed.publish_at == hours(1.5)
    assert timed.timestamp_ms == 1772328600_000
    event = timed.event
    assert isinstance(event, ListingCreated)
    assert [image.uri for image in event.images] == [
        "file:///photos/with%20blank%20%26%20%C3%BC.jpg",
        "file:///photos/2.jpg",
    ]
    assert (event.listing_id, event.category, event.currency) == ("a", "Toys", "GBP")
    assert (event.brand, event.title, event.listed_at) == ("Brand", "A thing", hours(1.5))
    assert event.attributes == ("red", "wool")
    assert event.specifications == {"size": "M"}


def test_a_sale_and_its_reversal_are_told() -> None:
    sold, reversed_ = timeline(
        dataset([], [sale("a", hours(1)), sale("a", hours(5), reversed=True)]), on_skip=pytest.fail
    )

    assert isinstance(sold.event, ItemSold)
    assert sold.event.model_dump() == {
        "transaction_id": "t-a",
        "listing_id": "a",
        "seller_id": "seller",
        "category": "Toys",
        "price_minor": 500,
        "currency": "GBP",
        "sold_at": hours(1),
    }
    assert isinstance(reversed_.event, SaleReversed)
    assert reversed_.event.reversed_at == hours(5)
    assert {sold.topic, reversed_.topic} == {"transactions"}
    assert sold.event_id != reversed_.event_id


def test_a_duplicate_row_is_the_same_event_twice() -> None:
    first, second = timeline(dataset([], [sale("a", hours(1)), sale("a", hours(1))]))

    assert first == second


def test_ids_depend_on_dataset_kind_and_ids_only() -> None:
    rows = [listing("a", listed_at=hours(0)), listing("b", listed_at=hours(0))]
    sales = [
        sale("a", hours(1)),
        sale("a", hours(1), transaction_id="t"),
        sale("a", hours(2), reversed=True),
    ]
    ids = [timed.event_id for timed in timeline(dataset(rows, sales))]
    other = Dataset("other", "GBP", Path("/photos"), rows, sales, [])

    assert len(set(ids)) == 5
    assert not set(ids) & {timed.event_id for timed in timeline(other)}
    moved = [listing("a", listed_at=hours(7)), listing("b", listed_at=hours(0), title="new")]
    assert {timed.event_id for timed in timeline(dataset(moved, sales))} == set(ids)
    assert all(len(name) <= 128 for name in ids)


def test_a_row_out_of_order_is_published_after_the_row_before_it() -> None:
    punctual = [sale(str(hour), hours(hour)) for hour in range(20)]
    late = sale("late", hours(4.5))
    rows = [*punctual[:9], late, *punctual[9:]]
    listings = [listing("l5", listed_at=hours(5)), listing("l8", listed_at=hours(8.5))]

    events = timeline(dataset(listings, rows))

    names = [timed.subject for timed in events]
    assert names == [*"01234", "l5", *"5678", "late", "l8", *map(str, range(9, 20))]
    assert events[names.index("late")].time == hours(4.5)
    assert events[names.index("late")].publish_at == hours(8)


def test_a_file_in_no_order_is_sorted() -> None:
    rows = [sale(str(hour), hours(hour)) for hour in (3, 1, 2, 0)]

    assert [timed.subject for timed in timeline(dataset([], rows))] == ["0", "1", "2", "3"]


def test_without_times_listings_are_a_second_apart_and_their_prices_are_sales() -> None:
    rows = [listing("a", price_minor=300), listing("b", price_minor=None), listing("c")]

    events = timeline(dataset(rows), start=DAY, sale_delay=timedelta(seconds=1.5))

    assert [
        (timed.subject, timed.topic, (timed.time - DAY).total_seconds()) for timed in events
    ] == [
        ("a", "listing.created", 0),
        ("b", "listing.created", 1),
        ("a", "transactions", 1.5),
        ("c", "listing.created", 2),
        ("c", "transactions", 3.5),
    ]
    assert isinstance(events[2].event, ItemSold)
    assert events[2].event.price_minor == 300


def test_where_times_of_sale_are_known_a_listing_without_one_is_unsold() -> None:
    rows = [
        listing("a", listed_at=hours(0), sold_at=hours(6)),
        listing("b", listed_at=hours(1)),
    ]

    events = timeline(dataset(rows))

    assert [timed.subject for timed in events if timed.topic == "transactions"] == ["a"]
    assert events[-1].time == hours(6)


def test_a_sales_file_is_taken_instead_of_prices_of_listings() -> None:
    rows = [listing("a", listed_at=hours(0), sold_at=hours(1), price_minor=111)]

    events = timeline(dataset(rows, [sale("a", hours(2), price_minor=222)]))

    (sold,) = [timed.event for timed in events if isinstance(timed.event, ItemSold)]
    assert sold.price_minor == 222


def test_who_has_no_seller_gets_one_that_listing_and_sale_share() -> None:
    long = "x" * 128
    rows = [listing(name, seller_id=None, listed_at=hours(0)) for name in ("a", long)]
    sales = [
        sale(name, hours(1), transaction_id="t", seller_id=None, category=None)
        for name in ("a", long)
    ]

    events = timeline(dataset(rows, sales), on_skip=pytest.fail)

    sellers: dict[str, set[bytes]] = {}
    for timed in events:
        sellers.setdefault(timed.subject, set()).add(timed.key)
    assert sellers["a"] == {b"unknown-a"}
    assert len(sellers[long]) == 1
    assert sellers[long] != sellers["a"]
    sold = [timed.event for timed in events if isinstance(timed.event, ItemSold)]
    assert [event.category for event in sold] == ["Toys", "Toys"]


def test_what_cannot_be_an_event_is_skipped_and_told() -> None:
    skipped: list[str] = []
    rows = [
        listing("no-category", category=None, listed_at=hours(0)),
        listing("no-currency", currency=None, listed_at=hours(0)),
        listing("no-photo", images=(), listed_at=hours(0)),
        listing("no-time"),
        listing("good", listed_at=hours(0)),
    ]
    sales = [
        sale("gift", hours(1), price_minor=0),
        sale("absurd", hours(1), price_minor=10**15 + 1),
        sale("nowhere", hours(1), category=None),
        sale("good", hours(1)),
    ]

    events = timeline(dataset(rows, sales), on_skip=skipped.append)

    assert [timed.subject for timed in events] == ["good", "good"]
    assert len(skipped) == 7
    for name in ("no-category", "no-currency", "no-photo", "no-time", "gift", "absurd", "nowhere"):
        assert sum(name in reason for reason in skipped) == 1


def test_what_is_longer_than_the_contract_allows_is_cut() -> None:
    row = listing(
        "a",
        listed_at=hours(0),
        images=tuple(Path(f"/photos/{number}.jpg") for number in range(20)),
        brand="b" * 300,
        title="t" * 2000,
        attributes=("x" * 300, *map(str, range(70))),
        specifications={str(number): "v" for number in range(70)} | {"long": "v" * 300},
    )

    (timed,) = timeline(dataset([row]), on_skip=pytest.fail)[:1]

    event = timed.event
    assert isinstance(event, ListingCreated)
    assert [image.uri for image in event.images] == [f"file:///photos/{n}.jpg" for n in range(12)]
    assert event.brand == "b" * 256
    assert event.title == "t" * 1024
    assert event.attributes == tuple(map(str, range(64)))
    assert list(event.specifications) == [str(number) for number in range(64)]


moments = st.integers(0, 50).map(hours)


@given(st.lists(moments, max_size=12), st.lists(moments, max_size=12))
def test_nothing_is_lost_and_time_of_publishing_never_goes_back(
    listed: list[datetime], sold: list[datetime]
) -> None:
    rows = [listing(f"l{i}", listed_at=moment) for i, moment in enumerate(listed)]
    sales = [sale(f"s{i}", moment) for i, moment in enumerate(sold)]
    # one row that has no place of its own, so that the prices of listings are never the sales
    sales.append(sale("last", hours(51)))

    events = timeline(dataset(rows, sales), on_skip=pytest.fail)

    times = {row.listing_id: row.listed_at for row in rows}
    times |= {row.listing_id: row.sold_at for row in sales}
    assert {timed.subject: timed.time for timed in events} == times
    assert len(events) == len(times)
    due = [timed.publish_at for timed in events]
    assert due == sorted(due)
    assert all(timed.time <= timed.publish_at for timed in events)
