"""The replay against a recount by brute force: for each listing, filter all sales by time."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.dataset.rows import Dataset, ListingRow, SaleRow
from models.dataset.statistics import (
    KnownSale,
    SalesHistograms,
    as_of_listing,
    known_sales,
    out_of_fold,
)
from schemas.statistics import Scope, ScopeStatistics

START = datetime(2026, 1, 1, tzinfo=UTC)
# Small prices have a bucket each, so what the histogram gives is exact.
PRICES = st.integers(1, 60)


def listing(number: int, hour: int | None, seller: str | None, category: str | None) -> ListingRow:
    return ListingRow(
        listing_id=f"l{number}",
        seller_id=seller,
        category=category,
        images=(),
        price_minor=None,
        currency="GBP",
        listed_at=None if hour is None else START + timedelta(hours=hour),
        sold_at=None,
        brand=None,
        attributes=(),
        specifications={},
        title=None,
    )


def sale(
    number: int, hour: int, seller: str | None, category: str | None, price: int, of: str = ""
) -> KnownSale:
    moment = START + timedelta(hours=hour)
    return KnownSale(f"t{number}", of or f"x{number}", seller, category, price, moment)


def numbers_of(prices: Sequence[int]) -> tuple[int, int, int, int, int]:
    """Quartiles by nearest rank, mean rounded half up, count."""
    ordered = sorted(prices)
    quartiles = [ordered[math.ceil(len(ordered) * k / 4) - 1] for k in (1, 2, 3)]
    mean = math.floor(sum(ordered) / len(ordered) + 0.5)
    return quartiles[0], quartiles[1], quartiles[2], mean, len(ordered)


def check(found: ScopeStatistics, scopes: Sequence[tuple[Scope, Sequence[int]]]) -> None:
    """The first of the scopes, narrow to wide, that has a sale gives the numbers."""
    own = scopes[0][1]
    for scope, prices in scopes:
        if prices:
            expected = numbers_of(prices)
            assert (found.q1, found.q2, found.q3, found.mean) == expected[:4]
            assert found.source is scope
            break
    else:
        assert found.source is Scope.NONE
    assert found.count == len(own)


names = st.sampled_from([None, "a", "b"])
sales_drawn = st.lists(st.tuples(st.integers(0, 12), names, names, PRICES), max_size=25)
listings_drawn = st.lists(st.tuples(st.integers(0, 12), names, names), min_size=1, max_size=12)


@given(listings_drawn, sales_drawn)
def test_a_listing_sees_the_sales_before_it(
    drawn: list[tuple[int, str | None, str | None]],
    sold: list[tuple[int, str | None, str | None, int]],
) -> None:
    listings = [listing(n, *of) for n, of in enumerate(drawn)]
    sales = [sale(n, *of) for n, of in enumerate(sold)]
    found = as_of_listing(listings, sales, SalesHistograms("GBP"))
    assert len(found) == len(listings)
    for row, statistics in zip(listings, found, strict=True):
        before = [s for s in sales if s.moment and row.listed_at and s.moment < row.listed_at]
        of_all = [s.price_minor for s in before]
        of_category = [s.price_minor for s in before if row.category and s.category == row.category]
        of_seller = [
            s.price_minor for s in before if row.seller_id and s.seller_id == row.seller_id
        ]
        scopes = [
            (Scope.SELLER, of_seller),
            (Scope.CATEGORY, of_category),
            (Scope.GLOBAL, of_all),
        ]
        check(statistics.seller, scopes)
        check(statistics.category, scopes[1:])
        check(statistics.overall, scopes[2:])


@given(listings_drawn, sales_drawn, st.integers(0, 5), st.data())
def test_without_times_a_listing_sees_all_sales_but_those_of_its_fold(
    drawn: list[tuple[int, str | None, str | None]],
    sold: list[tuple[int, str | None, str | None, int]],
    shift: int,
    data: st.DataObject,
) -> None:
    listings = [listing(n, None, *of[1:]) for n, of in enumerate(drawn)]
    sales = [
        replace(sale(n, *of), moment=None, listing_id=f"l{(n + shift) % 7}")
        for n, of in enumerate(sold)
    ]
    size = len(listings)
    folds = data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    found = out_of_fold(listings, sales, "GBP", folds)
    for row, fold, statistics in zip(listings, folds, found, strict=True):
        fellows = {
            other.listing_id for other, of in zip(listings, folds, strict=True) if of == fold
        }
        others = [s for s in sales if s.listing_id not in fellows]
        of_category = [s.price_minor for s in others if row.category and s.category == row.category]
        check(
            statistics.category,
            [(Scope.CATEGORY, of_category), (Scope.GLOBAL, [s.price_minor for s in others])],
        )
        check(statistics.overall, [(Scope.GLOBAL, [s.price_minor for s in others])])


def test_a_sale_at_the_moment_of_the_listing_comes_after_it() -> None:
    sales = [sale(1, 5, None, None, 40)]
    at, after = as_of_listing(
        [listing(1, 5, None, None), listing(2, 6, None, None)], sales, SalesHistograms("GBP")
    )
    assert at.overall.source is Scope.NONE
    assert after.overall.count == 1


def test_a_transaction_counts_once_and_a_reversal_takes_back_what_was_sold() -> None:
    first = sale(1, 1, "s", "c", 40)
    reversal = replace(first, moment=START + timedelta(hours=5), reversed=True, price_minor=39)
    sales = [first, replace(first, moment=START + timedelta(hours=2)), reversal, reversal]
    sales.append(sale(2, 1, None, None, 10))
    early, late = as_of_listing(
        [listing(1, 4, "s", "c"), listing(2, 6, "s", "c")], sales, SalesHistograms("GBP")
    )
    assert (early.overall.count, early.seller.count, early.category.count) == (2, 1, 1)
    assert (late.overall.count, late.seller.count, late.category.count) == (1, 0, 0)
    assert late.overall.mean == 10


def test_a_reversal_before_its_sale_cancels_it() -> None:
    sold = sale(1, 5, None, "c", 40)
    sales = [sold, replace(sold, moment=START, reversed=True)]
    (found,) = as_of_listing([listing(1, 9, None, "c")], sales, SalesHistograms("GBP"))
    assert found.overall.source is Scope.NONE


def test_a_listing_without_time_cannot_be_replayed() -> None:
    with pytest.raises(ValueError, match="l1 has no time"):
        as_of_listing([listing(1, None, None, None)], [], SalesHistograms("GBP"))


def sold_row(number: int, price: int, currency: str = "GBP") -> SaleRow:
    return SaleRow(f"t{number}", f"l{number}", "s", "c", price, currency, START, reversed=False)


def dataset(listings: list[ListingRow], sales: list[SaleRow]) -> Dataset:
    return Dataset("d", "GBP", Path("d"), listings, sales, [])


def test_sales_of_no_price_and_of_other_currencies_are_left_out() -> None:
    rows = [sold_row(1, 500), sold_row(2, 0), sold_row(3, 500, "EUR")]
    found = known_sales(dataset([listing(9, 1, None, None)], rows), "GBP")
    assert [s.transaction_id for s in found] == ["t1"]


def test_without_sales_the_prices_of_the_listings_are_sales_at_their_sold_at() -> None:
    rows = [
        replace(listing(1, 1, "s", "c"), price_minor=700, sold_at=START),
        replace(listing(2, 1, "s", "c"), price_minor=0),
        replace(listing(3, 1, "s", "c"), price_minor=None),
        replace(listing(4, 1, None, "c"), price_minor=9),
        replace(listing(5, 1, "s", None), price_minor=9),
    ]
    found = known_sales(dataset(rows, []), "GBP")
    assert [(s.listing_id, s.seller_id, s.category, s.price_minor, s.moment) for s in found] == [
        ("l1", "s", "c", 700, START),
        ("l4", None, "c", 9, None),
    ]
