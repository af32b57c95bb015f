"""Readers of the stores that this worker writes, for the threads that answer questions."""

import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar
from weakref import WeakValueDictionary

from stats_store.errors import StoreClosedError
from stats_store.reading import StoreReader
from stats_store.store import PartitionStore

_IDLE_S = 30.0  # a reader keeps what the writer has not flushed, up to its write buffer

_Read = TypeVar("_Read")


class OwnStores:
    """The stores that this worker has open and up to date, to be read from other threads.

    A store is used by one thread, and what it holds in memory is provisional; so what is read
    here is what is on the disk, by a reader of its own. The loop is neither asked nor held up.
    A reader is opened with the first question to a partition (0.1 to 0.3 s for what a worker has
    not flushed), follows in milliseconds, and is closed when nobody has asked for a while.

    Safe to use from several threads.
    """

    def __init__(self, folder: Path) -> None:
        """Read stores that lie in a folder, named for their partitions."""
        self._folder = folder
        self._open: WeakValueDictionary[int, PartitionStore] = WeakValueDictionary()
        self._open_lock = threading.Lock()  # held for moments only: a restore waits for it
        self._readers: dict[int, StoreReader] = {}
        self._lock = threading.Lock()
        self._scratch: TemporaryDirectory[str] | None = None
        self._timer: threading.Timer | None = None

    def watch(self, store: PartitionStore) -> None:
        """Take note of a store that is up to date; it is among them until it is closed."""
        with self._open_lock:
            self._open[store.partition] = store

    def partitions(self) -> list[int]:
        """Return the partitions whose stores are open and up to date."""
        with self._open_lock:
            return sorted(p for p, store in self._open.items() if not store.closed)

    def read(self, partition: int, question: Callable[[PartitionStore], _Read]) -> _Read:
        """Return what a question finds in a partition's store, as of its last commit.

        Raises:
            StoreClosedError: the store was closed, before or meanwhile.
            StatsStoreError: it cannot be read.
        """
        with self._lock:
            try:
                if partition not in self.partitions():
                    raise StoreClosedError(f"partition {partition} is not open here")
                answer = question(self._reader(partition).view())
                if partition not in self.partitions():
                    raise StoreClosedError(f"partition {partition} was closed meanwhile")
                return answer
            except BaseException:
                self._close(partition)
                raise
            finally:
                self._close_when_idle()

    def close(self) -> None:
        """Close all readers."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            for partition in list(self._readers):
                self._close(partition)
            if self._scratch is not None:
                self._scratch.cleanup()
                self._scratch = None

    def _reader(self, partition: int) -> StoreReader:
        if self._scratch is None:
            self._scratch = TemporaryDirectory(prefix="secondsight-queries-")
        if partition not in self._readers:
            self._readers[partition] = StoreReader(
                self._folder / str(partition),
                partition,
                own_folder=Path(self._scratch.name) / str(partition),
            )
        return self._readers[partition]

    def _close(self, partition: int) -> None:
        if (reader := self._readers.pop(partition, None)) is not None:
            reader.close()

    def _close_when_idle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(_IDLE_S, self.close)
        self._timer.daemon = True
        self._timer.start()
