"""Reading a worker's stores from other threads while it writes, closes and opens them."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.sale import ItemSold
from stats_store.backend.options import RocksDBOptions
from stats_store.errors import StoreClosedError
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore
from workers.stats.readers import OwnStores

SMALL = RocksDBOptions(write_buffer_bytes=64 * 1024)  # flushes often
OVERALL = ScopeKey.overall("GBP")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnStores]:
    stores = OwnStores(tmp_path)
    yield stores
    stores.close()


def opened(folder: Path, partition: int = 0) -> PartitionStore:
    return PartitionStore.open(folder / str(partition), partition, options=SMALL)


def sell(store: PartitionStore, first: int, count: int) -> None:
    """Commit sales numbered from `first` on, each for its number and one."""
    for number in range(first, first + count):
        store.apply_sale(
            ItemSold(
                transaction_id=f"t{number}",
                listing_id=f"l{number}",
                seller_id=f"seller {number % 40}",
                category="A",
                price_minor=number + 1,
                currency="GBP",
                sold_at=datetime(2026, 3, 1, tzinfo=UTC),
            )
        )
    store.set_position("transactions", first + count)
    store.commit(store.changelog_position + len(store.changes()))


def seen(store: PartitionStore) -> tuple[int | None, int, int]:
    histogram = store.histogram(OVERALL)
    if histogram is None:
        return store.position("transactions"), 0, 0
    return store.position("transactions"), histogram.count, histogram.sum


def test_only_stores_that_are_watched_and_open_are_read(own: OwnStores, tmp_path: Path) -> None:
    store, unwatched = opened(tmp_path), opened(tmp_path, 1)
    own.watch(store)
    sell(store, 0, 10)
    assert own.partitions() == [0]
    assert own.read(0, seen) == (10, 10, 55)
    store.close()
    assert own.partitions() == []
    for partition in (0, 1):
        with pytest.raises(StoreClosedError, match=f"partition {partition}"):
            own.read(partition, seen)
    unwatched.close()


def test_a_store_that_is_closed_while_it_is_read_gives_no_answer_and_can_be_opened(
    own: OwnStores, tmp_path: Path
) -> None:
    store = opened(tmp_path)
    own.watch(store)

    def close_meanwhile(view: PartitionStore) -> int:
        store.close()
        opened(tmp_path).close()  # its lock is free, though it is being read
        return view.partition

    with pytest.raises(StoreClosedError, match="meanwhile"):
        own.read(0, close_meanwhile)
    again = opened(tmp_path)
    own.watch(again)
    sell(again, 0, 3)
    assert own.read(0, seen) == (3, 3, 6)
    again.close()


def test_answers_are_whole_batches_and_never_go_back(own: OwnStores, tmp_path: Path) -> None:
    answers: list[tuple[int | None, int, int]] = []
    faults: list[Exception] = []
    enough, done = threading.Event(), threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                answers.append(own.read(0, seen))
            except StoreClosedError:
                continue
            except Exception as error:  # noqa: BLE001 - the test's own thread shows it
                faults.append(error)
                enough.set()
                return
            if len(answers) >= 60:
                enough.set()

    store = opened(tmp_path)
    own.watch(store)
    asker = threading.Thread(target=ask)
    asker.start()
    batch = 0
    while not enough.is_set() or batch < 60:
        sell(store, batch * 100, 100)
        batch += 1
        if batch % 20 == 0:
            store.close()
            store = opened(tmp_path)
            own.watch(store)
    done.set()
    asker.join(60)
    store.close()
    assert faults == []
    counts = [count for _, count, _ in answers]
    assert counts == sorted(counts)
    for position, count, total in answers:
        assert count == (position or 0)
        assert count % 100 == 0
        assert total == count * (count + 1) // 2
