"""The records of a partition's changelog, which are also the entries of its store.

A key is one byte for the column family and the key inside it; a value replaces the one before,
so that a compacted topic holds the whole state; a value of None deletes. The store itself never
deletes: a reader that comes back after the topic has dropped the tombstones would keep what
they deleted. A histogram that lost its last price is therefore written empty, not deleted.
"""

import struct
from collections.abc import Sequence
from enum import Enum

from stats_store.errors import CorruptRecordError

FORMAT_VERSION = 1

Change = tuple[bytes, bytes | None]
"""One changed entry: key and new value, None where it was deleted."""


class Family(Enum):
    """A column family and the first byte of its keys."""

    HISTOGRAMS = b"h"
    META = b"m"
    SALES = b"s"


CHANGELOG_POSITION_KEY = b"mchangelog"  # local to a store: each copy has its own
PARTITION_KEY = b"mpartition"
FORMAT_KEY = b"mformat"
_POSITION_PREFIX = b"mposition/"

_FAMILY_BYTES = frozenset(family.value for family in (Family.HISTOGRAMS, Family.SALES))
_POSITION = struct.Struct("<Bq")  # the format version travels with the changelog, too


def position_change(topic: str, next_offset: int) -> Change:
    """Return the record that says how far an input topic has been applied."""
    return _POSITION_PREFIX + topic.encode(), _POSITION.pack(FORMAT_VERSION, next_offset)


def positions(entries: Sequence[tuple[bytes, bytes]]) -> dict[str, int]:
    """Return the next offset by input topic from the entries of the column family meta."""
    return {
        key.removeprefix(_POSITION_PREFIX).decode(): _next_offset(value)
        for key, value in entries
        if key.startswith(_POSITION_PREFIX)
    }


def check(key: bytes, value: bytes | None) -> None:
    """Refuse what is not a record of a changelog of this format.

    Histograms and sales are decoded only when they are read.

    Raises:
        CorruptRecordError: the key is foreign, or the format version is another one.
    """
    if key[:1] in _FAMILY_BYTES:
        return
    if not key.startswith(_POSITION_PREFIX):
        raise CorruptRecordError(f"{key[:40]!r} is not a key of the changelog of statistics")
    if value is not None:
        _next_offset(value)


def _next_offset(value: bytes) -> int:
    if len(value) != _POSITION.size or value[0] != FORMAT_VERSION:
        raise CorruptRecordError(
            f"the changelog of statistics is not in format {FORMAT_VERSION}; "
            "use the release that wrote it, or start from an empty changelog"
        )
    offset: int = _POSITION.unpack(value)[1]
    return offset
