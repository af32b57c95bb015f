"""What a store needs of the place that keeps its entries."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from stats_store.changelog import Change


class Backend(Protocol):
    """An ordered map from bytes to bytes. The first byte of a key is its column family.

    One thread uses it at a time. Each call may block on the disk and may raise
    StoreUnusableError when the disk is full or an entry cannot be read.
    """

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None where there is none."""

    def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return the value of each of keys of one column family, None where there is none."""

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return the entries whose key starts with `prefix`, at least one byte, in key order."""

    def scan_from(self, start: bytes, *, limit: int) -> list[tuple[bytes, bytes]]:
        """Return at most `limit` entries of the family of `start`, from that key on, in order."""

    def write(self, changes: Iterable[Change]) -> None:
        """Apply changes: all of them, or after a crash or an error none."""

    def close(self) -> None:
        """Release the entries to the next user. Nothing may be called after it."""


@runtime_checkable
class Copyable(Protocol):
    """What a backend can do besides that may be written to; a view for reading cannot."""

    def copy_to(self, folder: Path) -> None:
        """Write all entries as of one moment to a new folder, for `RocksDBBackend.open`.

        The only call that may come from another thread, also while others are made.

        Raises:
            StoreClosedError: `close` was called before.
        """
