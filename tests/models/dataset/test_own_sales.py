"""A listing never sees its own sales, also where some were taken back or share a payment."""

from datetime import UTC, datetime
from pathlib import Path

from models.dataset.rows import ListingRow
from models.dataset.statistics import KnownSale, SalesHistograms, as_of_listing, out_of_fold

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def listing(name: str, listed_at: datetime | None = None) -> ListingRow:
    return ListingRow(
        listing_id=name,
        seller_id="ann",
        category="Toys",
        images=(Path("a.jpg"),),
        price_minor=None,
        currency="GBP",
        listed_at=listed_at,
        sold_at=None,
        brand=None,
        attributes=(),
        specifications={},
        title=None,
    )


def sale(name: str, price: int, *, payment: str = "t", reversed_: bool = False) -> KnownSale:
    return KnownSale(payment, name, "ann", "Toys", price, NOON, reversed_)


def test_a_refunded_sale_is_not_taken_out_twice() -> None:
    # both prices lie in one bucket, so a second removal would take the other listing's
    sales = [sale("a", 10_000), sale("b", 10_001), sale("a", 10_000, reversed_=True)]
    a, b = out_of_fold([listing("a"), listing("b")], sales, "GBP", [0, 1])
    assert (a.seller.count, a.seller.mean) == (1, 10_001)
    assert b.seller.count == 0


def test_the_only_sale_refunded_leaves_nothing() -> None:
    sales = [sale("a", 10_000), sale("a", 10_000, reversed_=True)]
    (found,) = out_of_fold([listing("a")], sales, "GBP", [0])
    assert found.overall.count == 0


def test_one_payment_for_two_things_is_two_sales() -> None:
    found = out_of_fold([listing("c")], [sale("a", 100), sale("b", 200)], "GBP", [0])[0]
    assert (found.overall.count, found.overall.mean) == (2, 150)


def test_a_listing_announced_after_its_sale_does_not_see_it() -> None:
    late = listing("a", NOON.replace(hour=13))
    sales = [sale("a", 5_000), sale("b", 300)]
    (found,) = as_of_listing([late], sales, SalesHistograms("GBP"))
    assert (found.seller.count, found.seller.mean) == (1, 300)
