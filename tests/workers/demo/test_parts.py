from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models.dataset.rows import Dataset, ListingRow, SaleRow
from schemas.listing import ListingCreated
from schemas.sale import ItemSold
from workers.demo.parts import divide, first_day
from workers.errors import BadDataError
from workers.replay.timeline import TimedEvent

DAY = datetime(2025, 3, 1, tzinfo=UTC)


def listing(folder: Path, number: int, **changed: Any) -> ListingRow:
    photo = folder / f"{number}.jpg"
    photo.write_bytes(b"photo %d" % number)
    row: dict[str, Any] = {
        "listing_id": f"l{number}",
        "seller_id": None,
        "category": "Toys",
        "images": (photo,),
        "price_minor": 100 + number,
        "currency": "GBP",
        "listed_at": DAY + timedelta(days=number),
        "sold_at": None,
        "brand": None,
        "attributes": (),
        "specifications": {},
        "title": None,
    }
    return ListingRow(**row | changed)


def sale(number: int, days: float) -> SaleRow:
    return SaleRow(
        transaction_id=f"t{number}",
        listing_id=f"l{number}",
        seller_id=None,
        category=None,
        price_minor=100 + number,
        currency="GBP",
        sold_at=DAY + timedelta(days=days),
        reversed=False,
    )


def dataset(folder: Path, rows: list[ListingRow], sales: list[SaleRow] | None = None) -> Dataset:
    return Dataset("some", "GBP", folder, rows, sales or [], [])


def subjects(events: list[TimedEvent], kind: type) -> list[str]:
    return [timed.subject for timed in events if isinstance(timed.event, kind)]


def test_with_times_the_later_third_is_live(tmp_path: Path) -> None:
    rows = [
        listing(tmp_path, number, sold_at=DAY + timedelta(days=number + 1.5)) for number in range(9)
    ]
    sales = [sale(number, number + 1.5) for number in range(9)]

    parts = divide(dataset(tmp_path, rows, sales), seed=1)

    assert parts.cut == DAY + timedelta(days=6)
    assert [row.listing_id for row in parts.training.listings] == [f"l{n}" for n in range(6)]
    # what was sold on day 6.5 is not known on day 6
    assert [row.price_minor for row in parts.training.listings] == [100, 101, 102, 103, 104, None]
    assert parts.training.listings[5].sold_at is None
    assert [row.listing_id for row in parts.training.sales] == [f"l{n}" for n in range(5)]
    assert subjects(parts.history, ItemSold) == [f"l{n}" for n in range(5)]
    assert subjects(parts.history, ListingCreated) == []
    assert subjects(parts.live, ListingCreated) == ["l6", "l7", "l8"]
    assert subjects(parts.live, ItemSold) == ["l5", "l6", "l7", "l8"]
    assert parts.left_out == []


def test_without_times_all_of_one_part_comes_before_the_other(tmp_path: Path) -> None:
    rows = [listing(tmp_path, number, listed_at=None) for number in range(30)]

    parts = divide(dataset(tmp_path, rows), seed=1)

    learnt = {row.listing_id for row in parts.training.listings}
    live = set(subjects(parts.live, ListingCreated))
    assert len(learnt) == 20
    assert live == {row.listing_id for row in rows} - learnt
    assert set(subjects(parts.history, ItemSold)) == learnt
    assert set(subjects(parts.live, ItemSold)) == live
    assert max(timed.time for timed in parts.history) < min(timed.time for timed in parts.live)
    assert max(timed.time for timed in parts.live) < datetime.now(UTC)
    again = divide(dataset(tmp_path, rows), seed=1)
    other = divide(dataset(tmp_path, rows), seed=2)
    assert [row.listing_id for row in again.training.listings] == [
        row.listing_id for row in parts.training.listings
    ]
    assert {row.listing_id for row in other.training.listings} != learnt


def test_listings_that_share_a_photo_are_not_in_both_parts(tmp_path: Path) -> None:
    rows = [listing(tmp_path, number) for number in range(9)]
    (tmp_path / "2.jpg").write_bytes((tmp_path / "8.jpg").read_bytes())

    parts = divide(dataset(tmp_path, rows), seed=1)

    assert [row.listing_id for row in parts.training.listings] == [f"l{n}" for n in range(6)]
    assert subjects(parts.live, ListingCreated) == ["l6", "l7"]
    assert parts.left_out == ["listing l8 has a photo that was learnt from"]


def test_a_missing_photo_is_no_reason_to_leave_a_listing_out(tmp_path: Path) -> None:
    rows = [listing(tmp_path, number) for number in range(9)]
    (tmp_path / "8.jpg").unlink()

    assert subjects(divide(dataset(tmp_path, rows), seed=1).live, ListingCreated)[-1] == "l8"


def test_of_a_large_dataset_the_first_are_taken(tmp_path: Path) -> None:
    rows = [listing(tmp_path, number) for number in range(30)]

    parts = divide(dataset(tmp_path, rows), seed=1, most_listings=9)

    assert [row.listing_id for row in parts.training.listings] == [f"l{n}" for n in range(6)]
    assert subjects(parts.live, ListingCreated) == ["l6", "l7", "l8"]


def test_what_cannot_be_listed_or_lies_ahead_is_left_out(tmp_path: Path) -> None:
    ahead = datetime.now(UTC) + timedelta(days=2)
    rows = [listing(tmp_path, number) for number in range(9)]
    rows.append(listing(tmp_path, 9, category=None))
    sales = [sale(0, 1), sale(1, (ahead - DAY).days)]

    parts = divide(dataset(tmp_path, rows, sales), seed=1)

    assert len(parts.left_out) == 2
    assert "l9 has no category" in parts.left_out[0]
    assert "future" in parts.left_out[1]
    assert subjects([*parts.history, *parts.live], ItemSold) == ["l0"]


def test_too_few_listings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match="2 usable listings"):
        divide(dataset(tmp_path, [listing(tmp_path, number) for number in range(2)]), seed=1)


def test_the_last_refund_of_a_simulated_market_has_happened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.demo.parts.START", datetime.now(UTC))
    # listed to day 60, sold at most 30 days later, taken back at most 14 days after that
    assert first_day() + timedelta(days=104) <= datetime.now(UTC)
