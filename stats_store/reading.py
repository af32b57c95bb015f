"""Reading the store of a partition while the stats worker writes it."""

from pathlib import Path
from typing import Self

from schemas.statistics import Scope
from stats_store.backend.options import RocksDBOptions
from stats_store.backend.secondary import SecondaryBackend
from stats_store.changelog import Family
from stats_store.errors import StoreUnusableError
from stats_store.rules import Rules
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore

_CACHED_HISTOGRAMS = 16  # a view answers one question
_GLOBAL_KEYS = Family.HISTOGRAMS.value + ScopeKey.overall("").to_bytes()
# A reader keeps what the writer has not flushed, and a few blocks.
_OPTIONS = RocksDBOptions(block_cache_bytes=4 * 1024 * 1024)


class StoreReader:
    """Shows what is durable in a store that another thread or process has open.

    What is provisional there, the batch in hand, is never seen. One thread uses it at a time.
    """

    def __init__(self, folder: Path, partition: int, *, own_folder: Path) -> None:
        """Open the store of a partition in a folder.

        Args:
            folder: the store's.
            partition: its number.
            own_folder: a folder of this reader alone; it is made if need be.

        Raises:
            StoreMismatchError: the folder is not the store of this partition, or of a format
                that this release does not know.
            StoreUnusableError: it cannot be read.
        """
        self.partition = partition
        self._folder = folder
        self._own_folder = own_folder
        self._backend = SecondaryBackend.open(folder, _OPTIONS, own_folder=own_folder)

    def view(self) -> PartitionStore:
        """Return the store as it is now, to be read until the next call of `view`.

        Raises:
            StoreMismatchError: it is not the store of this partition.
            StoreUnusableError: it cannot be read.
        """
        try:
            self._backend.catch_up()
        except StoreUnusableError:
            self._backend.close()
            self._backend = SecondaryBackend.open(
                self._folder, _OPTIONS, own_folder=self._own_folder
            )
        # Made anew, since a store takes it that nobody else changes its entries.
        return PartitionStore(
            self._backend,
            self.partition,
            cached_histograms=_CACHED_HISTOGRAMS,
            rules=Rules.stored(self._backend),
        )

    def currencies(self) -> list[str]:
        """Return the currencies in which anything was ever sold, as of the last `view`."""
        keys = (ScopeKey.from_bytes(key[1:]) for key, _ in self._backend.scan(_GLOBAL_KEYS))
        return [key.currency for key in keys if key.scope is Scope.GLOBAL]

    def close(self) -> None:
        """Release the store's files."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
