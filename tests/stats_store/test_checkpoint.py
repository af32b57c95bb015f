"""Copies of a store in use, and the manifest that vouches for a checkpoint."""

import hashlib
import io
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.sale import ItemSold
from stats_store.backend.options import RocksDBOptions
from stats_store.checkpoint import (
    CheckpointManifest,
    FileSum,
    copy_summed,
    position_of,
    take_checkpoint,
)
from stats_store.errors import CorruptCheckpointError, StoreClosedError, StoreUnusableError
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore

PARTITION = 3  # of the fixture open_store
PER_BATCH = 7
MANIFEST = CheckpointManifest(
    changelog="t@c@i",
    partition=2,
    position=77,
    made_at="2026-03-01T00:00:00+00:00",
    files={"CURRENT": FileSum(16, "ab" * 32), "000009.sst": FileSum(5_000_000, "cd" * 32)},
)


def commit_batch(store: PartitionStore, number: int) -> None:
    """Sell PER_BATCH things at price `number`; the changelog is at 10 a batch then."""
    for each in range(PER_BATCH):
        sale = ItemSold(
            transaction_id=f"t{number}-{each}",
            listing_id=f"l{number}-{each}",
            seller_id="anna",
            category="Hats",
            price_minor=number,
            currency="GBP",
            sold_at=datetime(2024, 1, 1, tzinfo=UTC),
        )
        store.apply_sale(sale)
    store.set_position("transactions", PER_BATCH * number)
    store.changes()
    store.commit(10 * number)


def check_copy(folder: Path, batches: int) -> None:
    copy = PartitionStore.open(folder, PARTITION, options=RocksDBOptions())
    overall = copy.histogram(ScopeKey.overall("GBP"))
    assert overall is not None
    assert (overall.count, overall.sum) == (
        PER_BATCH * batches,
        PER_BATCH * sum(range(1, batches + 1)),
    )
    assert copy.position("transactions") == PER_BATCH * batches
    assert len(copy.sales_of(f"l{batches}-0")) == 1
    assert copy.sales_of(f"l{batches + 1}-0") == []
    copy.close()


def test_a_copy_made_between_commits_of_another_thread_is_whole_batches(
    open_store: Callable[[], PartitionStore], tmp_path: Path
) -> None:
    store = open_store()
    commit_batch(store, 1)
    begun, enough = threading.Event(), threading.Event()

    def write() -> None:
        number = 2
        while not enough.is_set():
            commit_batch(store, number)
            number += 1
            if number > 20:
                begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    positions = [take_checkpoint(store, tmp_path / f"{number}") for number in range(3)]
    enough.set()
    writer.join()
    store.close()
    assert positions == sorted(positions)
    assert positions[0] >= 190  # 19 batches were there when the first one was made
    for number, position in enumerate(positions):
        check_copy(tmp_path / f"{number}", position // 10)


def test_what_is_not_committed_is_not_in_the_copy_and_later_changes_leave_it_alone(
    open_store: Callable[[], PartitionStore], tmp_path: Path
) -> None:
    store = open_store()
    for number in (1, 2):
        commit_batch(store, number)
    store.set_position("transactions", 1_000)
    assert take_checkpoint(store, tmp_path / "copy") == 20
    store.rollback()
    for number in (3, 4, 5):
        commit_batch(store, number)
    store.close()
    check_copy(tmp_path / "copy", 2)


def test_a_closed_store_is_not_copied(
    new_rocksdb_place: Callable[[], Callable[[], PartitionStore]], tmp_path: Path
) -> None:
    store = new_rocksdb_place()()
    assert not store.closed
    store.close()
    assert store.closed
    with pytest.raises(StoreClosedError):
        store.copy_to(tmp_path / "copy")


def test_the_position_of_what_is_no_store_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "CURRENT").write_text("nothing")
    with pytest.raises(StoreUnusableError):
        position_of(tmp_path)


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert CheckpointManifest.from_bytes(MANIFEST.to_bytes()) == MANIFEST
    assert MANIFEST.size == 5_000_016


def test_a_manifest_that_is_cut_or_changed_anywhere_is_refused() -> None:
    data = MANIFEST.to_bytes()
    for place in range(len(data)):
        with pytest.raises(CorruptCheckpointError):
            CheckpointManifest.from_bytes(data[:place])
        if data[place : place + 1].isalnum():
            changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            with pytest.raises(CorruptCheckpointError):
                CheckpointManifest.from_bytes(changed)


@pytest.mark.parametrize("name", ["../CURRENT", "/etc/passwd", "a/b", "", ".", ".."])
def test_a_manifest_with_a_file_elsewhere_is_refused(name: str) -> None:
    wicked = replace(MANIFEST, files={name: FileSum(1, "ab" * 32)})
    with pytest.raises(CorruptCheckpointError, match="elsewhere"):
        CheckpointManifest.from_bytes(wicked.to_bytes())


@pytest.mark.parametrize("size", [0, 1, 2**20, 2**20 + 1, 3_000_000])
def test_a_summed_copy_is_the_same_and_so_is_its_sum(size: int) -> None:
    content = bytes(number * 7 % 251 for number in range(1_000)) * (size // 1_000 + 1)
    content = content[:size]
    target, moved = io.BytesIO(), list[int]()
    found = copy_summed(io.BytesIO(content), target, moved.append)
    assert target.getvalue() == content
    assert found == FileSum(size, hashlib.sha256(content).hexdigest())
    assert sum(moved) == size
