"""Reading a store beside its writer, against plain lists."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.sale import ItemSold, SaleReversed
from stats_store.backend.options import RocksDBOptions
from stats_store.errors import StoreMismatchError, StoreUnusableError
from stats_store.histogram import PriceHistogram
from stats_store.reading import StoreReader
from stats_store.sales import SaleState
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore
from stats_store.summary import Summary, buckets_of

START = datetime(2026, 3, 1, tzinfo=UTC)
SMALL = RocksDBOptions(write_buffer_bytes=64 * 1024)  # flushes often, so that files come and go


def sale(number: int, price: int, seller: str = "ann", currency: str = "GBP") -> ItemSold:
    return ItemSold(
        transaction_id=f"t{number}",
        listing_id=f"l{number}",
        seller_id=seller,
        category="A > B",
        price_minor=price,
        currency=currency,
        sold_at=START,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "stats" / "3"


@pytest.fixture
def writer(folder: Path) -> Iterator[PartitionStore]:
    store = PartitionStore.open(folder, 3, options=SMALL)
    yield store
    store.close()


@pytest.fixture
def read(
    folder: Path, tmp_path: Path, writer: PartitionStore
) -> Iterator[Callable[[], StoreReader]]:
    readers: list[StoreReader] = []

    def make() -> StoreReader:
        readers.append(StoreReader(folder, 3, own_folder=tmp_path / f"reader{len(readers)}"))
        return readers[-1]

    yield make
    for reader in readers:
        reader.close()


def commit(store: PartitionStore) -> None:
    store.commit(store.changelog_position + len(store.changes()))


def test_a_reader_follows_what_is_committed_and_never_sees_more(
    writer: PartitionStore, read: Callable[[], StoreReader]
) -> None:
    draw, reader = random.Random(4), read()
    prices: dict[str, list[int]] = defaultdict(list)
    number = 0
    for batch in range(40):
        for _ in range(200):
            number += 1
            price, seller = draw.randrange(1, 10**6), f"seller {draw.randrange(30)}"
            writer.apply_sale(sale(number, price, seller))
            prices[seller].append(price)
        writer.set_position("transactions", number)
        seller = f"seller {draw.randrange(30)}"
        before = reader.view()
        assert before.position("transactions") == (batch * 200 or None)
        commit(writer)
        after = reader.view()
        assert after.position("transactions") == number
        assert after.changelog_position == writer.changelog_position
        histogram = after.histogram(ScopeKey.seller("GBP", seller))
        assert histogram is not None
        assert (histogram.count, histogram.sum) == (len(prices[seller]), sum(prices[seller]))
        overall = after.histogram(ScopeKey.overall("GBP"))
        assert overall is not None
        assert overall.sum == sum(map(sum, prices.values()))
        fresh = read().view().histogram(ScopeKey.overall("GBP")) if batch % 10 == 0 else overall
        assert fresh is not None
        assert (fresh.count, fresh.sum) == (overall.count, overall.sum), batch
        assert fresh.to_bytes() == overall.to_bytes()


def test_sales_of_a_listing_and_the_currencies_are_found(
    writer: PartitionStore, read: Callable[[], StoreReader]
) -> None:
    writer.apply_sale(sale(1, 500))
    writer.apply_sale(sale(2, 70, currency="JPY"))
    writer.apply_reversal(
        SaleReversed(transaction_id="t1", listing_id="l1", seller_id="ann", reversed_at=START)
    )
    commit(writer)
    reader = read()
    (record,) = reader.view().sales_of("l1")
    assert (record.state, record.price_minor, record.seller_id) == (SaleState.REVERSED, 500, "ann")
    assert reader.currencies() == ["GBP", "JPY"]


def test_nothing_in_the_folder_changes_while_it_is_read(
    writer: PartitionStore, folder: Path, read: Callable[[], StoreReader]
) -> None:
    writer.apply_sale(sale(1, 500))
    commit(writer)

    def state() -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in folder.iterdir()}

    before = state()
    assert read().view().histogram(ScopeKey.seller("GBP", "ann")) is not None
    assert state() == before
    writer.apply_sale(sale(2, 600))  # and the writer goes on
    commit(writer)


def test_a_reader_holds_no_lock(folder: Path, tmp_path: Path) -> None:
    PartitionStore.open(folder, 3, options=SMALL).close()
    with StoreReader(folder, 3, own_folder=tmp_path / "reader"):
        PartitionStore.open(folder, 3, options=SMALL).close()


def test_what_is_not_the_store_is_refused(
    writer: PartitionStore, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(StoreMismatchError, match="partition 3, not 4"):
        StoreReader(folder, 4, own_folder=tmp_path / "a").view()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(StoreMismatchError, match="not a store"):
        StoreReader(empty, 0, own_folder=tmp_path / "b")
    (empty / "CURRENT").write_text("no such manifest\n")
    with pytest.raises(StoreUnusableError, match="empty"):
        StoreReader(empty, 0, own_folder=tmp_path / "c")


@pytest.mark.parametrize("count", [0, 1, 7, 5_000])
def test_summary_and_buckets_against_the_prices_themselves(count: int) -> None:
    draw = random.Random(count)
    prices = sorted(draw.randrange(1, 10 ** draw.randrange(1, 9)) for _ in range(count))
    histogram = PriceHistogram()
    histogram.add_many(prices)
    summary, buckets = Summary.of(histogram), buckets_of(histogram)
    assert (summary.count, summary.sum) == (count, sum(prices))
    for bucket in buckets:
        assert bucket.count == sum(bucket.lowest <= price <= bucket.highest for price in prices)
        assert bucket.highest - bucket.lowest <= bucket.lowest / 128
    assert sum(bucket.count for bucket in buckets) == count
    if not count:
        assert (summary.mean, summary.q1, summary.q2, summary.q3) == (None,) * 4
        return
    assert abs((summary.mean or 0) - sum(prices) / count) <= 0.5
    for quarter, found in enumerate((summary.q1, summary.q2, summary.q3), 1):
        exact = prices[-(-count * quarter // 4) - 1]
        assert abs((found or 0) - exact) <= exact / 256
