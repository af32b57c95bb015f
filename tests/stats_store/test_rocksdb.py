"""What only a store on disk can meet: other processes, kills, damage, foreign folders."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from stats_store.backend.options import RocksDBOptions
from stats_store.backend.rocksdb import RocksDBBackend
from stats_store.changelog import FORMAT_KEY
from stats_store.errors import StoreLockedError, StoreMismatchError, StoreUnusableError
from stats_store.identity import identity
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore

ROOT = Path(__file__).parents[2]

WORKER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from schemas.sale import ItemSold
from stats_store.backend.options import RocksDBOptions
from stats_store.store import PartitionStore

store = PartitionStore.open(Path(sys.argv[1]), 0, options=RocksDBOptions())
for batch in range(20):
    for number in range(10):
        store.apply_sale(ItemSold(
            transaction_id=f"t{batch}-{number}", listing_id="l", seller_id="anna",
            category="Hats", price_minor=100 + number, currency="GBP",
            sold_at=datetime(2024, 1, 1, tzinfo=UTC)))
    store.set_position("transactions", 10 * (batch + 1))
    store.changes()
    store.commit(batch + 1)
store.apply_sale(ItemSold(
    transaction_id="late", listing_id="l", seller_id="anna", category="Hats", price_minor=1,
    currency="GBP", sold_at=datetime(2024, 1, 1, tzinfo=UTC)))
print("ready", flush=True)
sys.stdin.read()
"""


def open_at(folder: Path, partition: int = 0) -> PartitionStore:
    return PartitionStore.open(folder, partition, options=RocksDBOptions())


def content_of(folder: Path) -> dict[str, bytes]:
    logs = ("LOG", "LOCK")
    return {
        file.name: file.read_bytes() for file in folder.iterdir() if not file.name.startswith(logs)
    }


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has committed 200 sales to `tmp_path / "store"` and holds it open."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path / "store")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def test_a_killed_process_loses_nothing_that_it_committed(
    worker: subprocess.Popen[str], tmp_path: Path
) -> None:
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    store = open_at(tmp_path / "store")
    overall = store.histogram(ScopeKey.overall("GBP"))
    assert overall is not None
    assert (overall.count, overall.sum) == (200, 20 * sum(range(100, 110)))
    assert (store.position("transactions"), store.changelog_position) == (200, 20)
    assert len(store.sales_of("l")) == 200
    store.close()


def test_a_store_open_in_another_process_is_refused(
    worker: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert worker.poll() is None
    with pytest.raises(StoreLockedError, match="in use by another process"):
        open_at(tmp_path / "store")


def test_a_store_can_be_opened_again_once_closed(tmp_path: Path) -> None:
    store = open_at(tmp_path / "deep" / "store")
    with pytest.raises(StoreLockedError):
        open_at(tmp_path / "deep" / "store")
    store.close()
    open_at(tmp_path / "deep" / "store").close()


def test_another_partition_is_refused(tmp_path: Path) -> None:
    open_at(tmp_path / "store", 1).close()
    before = content_of(tmp_path / "store")
    with pytest.raises(StoreMismatchError, match="of partition 1, not 2"):
        open_at(tmp_path / "store", 2)
    open_at(tmp_path / "store", 1).close()
    assert before["IDENTITY"] == content_of(tmp_path / "store")["IDENTITY"]


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    newer = [(FORMAT_KEY, (99).to_bytes(8, "little")), *identity(0)[1:]]
    RocksDBBackend.open(tmp_path / "store", RocksDBOptions(), newer).close()
    with pytest.raises(StoreMismatchError, match="format 99"):
        open_at(tmp_path / "store")


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    foreign = Rdict(str(tmp_path / "store"), Options(raw_mode=True))
    foreign[b"key"] = b"value"
    foreign.close()
    before = content_of(tmp_path / "store")
    with pytest.raises(StoreMismatchError, match="not a store of statistics"):
        open_at(tmp_path / "store")
    assert content_of(tmp_path / "store") == before


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(StoreMismatchError, match="not a store of statistics"):
        open_at(tmp_path)
    assert content_of(tmp_path) == {"letter.txt": b"dear"}


def test_an_empty_folder_becomes_a_store_and_a_half_made_one_is_made_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store.unfinished").mkdir()
    (tmp_path / "store.unfinished" / "MANIFEST-000001").write_bytes(b"cut sh")
    open_at(tmp_path / "store").close()
    open_at(tmp_path / "store").close()
    assert not (tmp_path / "store.unfinished").exists()


@pytest.mark.parametrize("damaged", ["MANIFEST-*", "CURRENT", "*.sst"])
def test_a_damaged_store_is_refused_and_not_wiped(tmp_path: Path, damaged: str) -> None:
    folder = tmp_path / "store"
    open_at(folder).close()
    open_at(folder).close()  # recovery writes what was in the log to a table file
    files = list(folder.glob(damaged))
    assert files
    for file in files:
        os.truncate(file, 9)
    names = set(content_of(folder))
    with pytest.raises(StoreUnusableError, match="move the folder away"):
        open_at(folder)
    assert names <= set(content_of(folder))


def test_a_cut_log_gives_an_earlier_commit_whole(
    worker: subprocess.Popen[str], tmp_path: Path
) -> None:
    worker.kill()
    worker.wait()
    folder = tmp_path / "store"
    log = max(folder.glob("*.log"), key=lambda file: file.stat().st_size)
    os.truncate(log, log.stat().st_size * 2 // 3)
    store = open_at(folder)
    overall = store.histogram(ScopeKey.overall("GBP"))
    assert overall is not None
    batches = store.changelog_position
    assert 0 < batches < 20
    assert (overall.count, store.position("transactions")) == (10 * batches, 10 * batches)
    assert len(store.sales_of("l")) == 10 * batches
    store.close()


def test_a_path_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusableError, match="cannot be made"):
        open_at(tmp_path / "file" / "store")
