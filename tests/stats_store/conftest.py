import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stats_store.backend.memory import MemoryBackend
from stats_store.backend.options import RocksDBOptions
from stats_store.identity import identity
from stats_store.store import PartitionStore

PARTITION = 3
CACHED = 4  # few, so that histograms are evicted and read again

OpenStore = Callable[[], PartitionStore]


@pytest.fixture(scope="session")
def new_memory_place() -> Callable[[], OpenStore]:
    """Makes a new place for a store each time; what it returns opens the store there."""

    def place() -> OpenStore:
        entries = dict(identity(PARTITION))
        return lambda: PartitionStore(MemoryBackend(entries), PARTITION, cached_histograms=CACHED)

    return place


@pytest.fixture(scope="session")
def new_rocksdb_place(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[], OpenStore]]:
    """The same in folders of their own."""
    root: Path = tmp_path_factory.mktemp("stores")
    numbers = itertools.count()

    def place() -> OpenStore:
        folder = root / f"{next(numbers)}" / "store"
        return lambda: PartitionStore.open(
            folder, PARTITION, options=RocksDBOptions(), cached_histograms=CACHED
        )

    yield place
    shutil.rmtree(root)


@pytest.fixture(params=["new_memory_place", "new_rocksdb_place"])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    """Opens the one store of a test, in memory and in RocksDB."""
    opened: OpenStore = request.getfixturevalue(request.param)()
    return opened
