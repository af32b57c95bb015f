"""Entries in a dict."""

from collections.abc import Iterable

from stats_store.changelog import Change


class MemoryBackend:
    """Keeps entries in a dict that may outlive it; a scan looks at all of them."""

    def __init__(self, entries: dict[bytes, bytes]) -> None:
        self._entries = entries

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None where there is none."""
        return self._entries.get(key)

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return the entries whose key starts with `prefix`, in key order."""
        return sorted(item for item in self._entries.items() if item[0].startswith(prefix))

    def write(self, changes: Iterable[Change]) -> None:
        """Apply changes."""
        for key, value in changes:
            if value is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = value

    def close(self) -> None:
        """Leave the entries to the next user."""
