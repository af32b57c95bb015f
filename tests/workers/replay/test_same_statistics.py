"""Training sees the statistics that serving sends: both follow the order of publishing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from models.dataset.reader import read_dataset
from models.dataset.rows import Dataset, ListingRow, SaleRow
from models.dataset.statistics import SalesHistograms, as_of_listing, known_sales
from schemas.listing import ListingCreated
from schemas.sale import ItemSold, SaleReversed
from schemas.statistics import ScopeStatistics, Statistics
from simulator.market import simulate
from stats_store.backend.memory import MemoryBackend
from stats_store.errors import SaleConflictError
from stats_store.features import statistics_of
from stats_store.identity import identity
from stats_store.store import PartitionStore
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


def served(dataset: Dataset) -> dict[str, Statistics]:
    """What the store of the stats worker answers when it is told the events in their order."""
    store = PartitionStore(MemoryBackend(dict(identity(0))), 0, cached_histograms=9)
    answers = {}
    for told in timeline(dataset):
        event = told.event
        if isinstance(event, ListingCreated):
            histograms = store.listing_histograms(
                listing_id=event.listing_id,
                seller_id=event.seller_id,
                category=event.category,
                currency=event.currency,
            )
            answers[event.listing_id] = statistics_of(*histograms, event.currency)
        elif isinstance(event, ItemSold):
            try:
                store.apply_sale(event)
            except SaleConflictError:
                continue  # to the dead letters
        else:
            store.apply_reversal(event)
    return answers


START = datetime(2026, 3, 1, tzinfo=UTC)
times = st.integers(0, 12).map(lambda hour: START + timedelta(hours=hour))
sellers = st.sampled_from(["a", "b", None])
categories = st.sampled_from(["c", "d", None])


def listing(number: int, seller: str | None, category: str, listed_at: datetime) -> ListingRow:
    return ListingRow(
        listing_id=f"l{number}",
        seller_id=seller,
        category=category,
        images=(Path("/photos/1.jpg"),),
        price_minor=None,
        currency="GBP",
        listed_at=listed_at,
        sold_at=None,
        brand=None,
        attributes=(),
        specifications={},
        title=None,
    )


@st.composite
def listing_rows(draw: st.DrawFn) -> list[ListingRow]:
    return [
        listing(number, draw(sellers), draw(st.sampled_from("cd")), draw(times))
        for number in range(draw(st.integers(1, 4)))
    ]


sale_rows = st.builds(
    SaleRow,
    transaction_id=st.sampled_from("tu"),
    listing_id=st.sampled_from(["l0", "l1", "l2", "of nobody"]),
    seller_id=sellers,
    category=categories,
    price_minor=st.sampled_from([0, 7, 30, 10_000, 10_001, 10**16]),
    currency=st.sampled_from(["GBP", "GBP", "EUR"]),
    sold_at=times,
    reversed=st.sampled_from([False, False, True]),
)
# in order with a few late rows, or in none
sale_files = st.lists(sale_rows, min_size=1, max_size=25) | st.tuples(
    st.lists(sale_rows, min_size=10, max_size=25), sale_rows
).map(lambda drawn: [*sorted(drawn[0], key=lambda sale: sale.sold_at), drawn[1]])


two_listings = [listing(0, "a", "c", START), listing(1, "a", "c", START + timedelta(hours=9))]


@given(listing_rows(), sale_files)
@example(two_listings, [SaleRow("t", "l0", None, None, 7, "GBP", START, reversed=False)])
@example(two_listings, [SaleRow("t", "of nobody", "a", None, 7, "GBP", START, reversed=False)])
def test_on_sales_repeated_contradicted_late_and_reversed_beforehand(
    listings: list[ListingRow], sales: list[SaleRow]
) -> None:
    dataset = Dataset("some", "GBP", Path("/photos"), listings, sales, [])
    found = as_of_listing(listings, known_sales(dataset, "GBP"), SalesHistograms("GBP"))
    expected = served(dataset)
    assert [expected[row.listing_id] for row in listings] == found


own_prices = st.lists(
    st.tuples(
        sellers,
        categories,
        st.sampled_from([None, 0, 7, 30, 10_000]),
        st.sampled_from(["GBP", "GBP", "EUR"]),
        times,
        st.none() | times,
    ),
    min_size=1,
    max_size=12,
)


@given(own_prices)
def test_on_a_dataset_whose_sales_are_its_listings_prices(
    drawn: list[tuple[str | None, str | None, int | None, str, datetime, datetime | None]],
) -> None:
    listings = [
        replace(
            listing(number, seller, "c", listed_at),
            category=category,
            price_minor=price,
            currency=currency,
            sold_at=sold_at,
        )
        for number, (seller, category, price, currency, listed_at, sold_at) in enumerate(drawn)
    ]
    dataset = Dataset("some", "GBP", Path("/photos"), listings, [], [])
    sales = [sale for sale in known_sales(dataset, "GBP") if sale.moment is not None]
    if not sales:
        return
    found = as_of_listing(listings, sales, SalesHistograms("GBP"))
    expected = served(dataset)
    for row, statistics in zip(listings, found, strict=True):
        if row.category is not None and row.currency == "GBP":
            assert statistics == expected[row.listing_id]


def test_a_sale_without_seller_or_category_is_of_its_listing_s() -> None:
    sales = [SaleRow("t", "l0", None, None, 7, "GBP", START, reversed=False)]
    dataset = Dataset("some", "GBP", Path("/photos"), two_listings, sales, [])
    _, later = as_of_listing(two_listings, known_sales(dataset, "GBP"), SalesHistograms("GBP"))
    assert (later.seller.count, later.category.count, later.overall.count) == (1, 1, 1)
