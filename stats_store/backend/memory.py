"""Entries in a dict."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from stats_store.backend.options import RocksDBOptions
from stats_store.backend.rocksdb import RocksDBBackend
from stats_store.changelog import Change


class MemoryBackend:
    """Keeps entries in a dict that may outlive it; a scan looks at all of them."""

    def __init__(self, entries: dict[bytes, bytes]) -> None:
        self._entries = entries

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None where there is none."""
        return self._entries.get(key)

    def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return the value of each of keys of one column family, None where there is none."""
        return [self._entries.get(key) for key in keys]

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return the entries whose key starts with `prefix`, in key order."""
        return sorted(item for item in self._entries.items() if item[0].startswith(prefix))

    def scan_from(self, start: bytes, *, limit: int) -> list[tuple[bytes, bytes]]:
        """Return at most `limit` entries of the family of `start`, from that key on, in order."""
        family = start[:1]
        found = [item for item in self._entries.items() if item[0][:1] == family]
        return sorted(item for item in found if item[0] >= start)[:limit]

    def write(self, changes: Iterable[Change]) -> None:
        """Apply changes."""
        for key, value in changes:
            if value is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = value

    def copy_to(self, folder: Path) -> None:
        """Write all entries as of one moment to a new folder, for `RocksDBBackend.open`."""
        RocksDBBackend.open(folder, RocksDBOptions(), list(self._entries.items())).close()

    def close(self) -> None:
        """Leave the entries to the next user."""
