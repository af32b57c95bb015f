"""Training sees the statistics that serving sends: both follow the order of publishing."""

from pathlib import Path

from models.dataset.reader import read_dataset
from models.dataset.statistics import SalesHistograms, as_of_listing, known_sales
from schemas.listing import ListingCreated
from schemas.sale import ItemSold, SaleReversed
from schemas.statistics import ScopeStatistics
from simulator.market import simulate
from workers.replay.timeline import timeline


def bucket_middle(price: int) -> int:
    """The documented rounding: exact below 256, else the middle of one of 128 an octave."""
    if price < 256:
        return price
    width = 1 << (price.bit_length() - 8)
    return price // width * width + width // 2


def numbers(prices: list[int]) -> tuple[int, ...]:
    ordered, count = sorted(prices), len(prices)
    quartiles = [bucket_middle(ordered[-(-count * q // 4) - 1]) for q in (1, 2, 3)]
    return (*quartiles, (2 * sum(prices) + count) // (2 * count), count)


def test_on_a_market_with_refunds_repeats_and_late_sales(tmp_path: Path) -> None:
    simulate(tmp_path / "market", listings=300, sellers=20, seed=3, workers=1)
    dataset = read_dataset(tmp_path / "market")
    assert any(sale.reversed for sale in dataset.sales)
    moments = [sale.sold_at for sale in dataset.sales]
    assert moments != sorted(moments)  # some were told late

    sold: dict[tuple[str, str], ItemSold] = {}
    reversed_names: set[tuple[str, str]] = set()
    expected = {}
    for told in timeline(dataset):
        event = told.event
        if isinstance(event, ListingCreated):
            seen = [
                sale
                for name, sale in sold.items()
                if name not in reversed_names and name[0] != event.listing_id
            ]
            expected[event.listing_id] = (
                [sale.price_minor for sale in seen if sale.seller_id == event.seller_id],
                [sale.price_minor for sale in seen if sale.category == event.category],
                [sale.price_minor for sale in seen],
            )
        elif isinstance(event, ItemSold):
            sold.setdefault((event.listing_id, event.transaction_id), event)
        elif isinstance(event, SaleReversed):
            reversed_names.add((event.listing_id, event.transaction_id))

    listings = [row for row in dataset.listings if row.listing_id in expected]
    sales = known_sales(dataset, "GBP")
    statistics = as_of_listing(listings, sales, SalesHistograms("GBP"))
    assert len(listings) > 250
    for listing, found in zip(listings, statistics, strict=True):
        scopes = (found.seller, found.category, found.overall)
        for scope, prices in zip(scopes, expected[listing.listing_id], strict=True):
            assert scope.count == len(prices)
            if prices:
                assert _numbers(scope) == numbers(prices)


def _numbers(scope: ScopeStatistics) -> tuple[int, ...]:
    return scope.q1, scope.q2, scope.q3, scope.mean, scope.count
