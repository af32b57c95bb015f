"""The records of a partition's changelog, which are also the entries of its store.

A key is one byte for the column family and the key inside it; a value replaces the one before,
so that a compacted topic holds the whole state; a value of None deletes. The store itself never
deletes: a reader that comes back after the topic has dropped the tombstones would keep what
they deleted. A histogram that lost its last price is therefore written empty, not deleted.

The sales of a batch travel packed, some thousands in a record: one by one they would cost more
than all the rest of a batch. No two batches share the key of such a record, so that compaction
never takes one away, and a sale that changes later is found again in a later one.
"""

import struct
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import accumulate

from stats_store.errors import CorruptRecordError

FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)  # in 1 the sales were not packed

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
PACK_PREFIX = b"b"
_PACK_KEY = struct.Struct(">cQH")  # the changelog position before the batch, number in the batch
_PACKED_ENTRIES = 256  # 15 KiB as a rule, and below a MiB with the longest names there may be


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


def pack_sales(entries: Sequence[tuple[bytes, bytes]], position: int) -> list[Change]:
    """Return entries of the family of sales as records of the changelog.

    Args:
        entries: keys and values, in the order in which they are to be applied.
        position: the position in the changelog before the batch, which no other batch has.
    """
    packs = (
        _packed(entries[start : start + _PACKED_ENTRIES])
        for start in range(0, len(entries), _PACKED_ENTRIES)
    )
    return [
        (_PACK_KEY.pack(PACK_PREFIX, position, number), pack) for number, pack in enumerate(packs)
    ]


def _packed(entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    # How many, the lengths of the keys, those of the values, the keys, the values.
    keys, values = zip(*entries, strict=True)
    lengths = struct.pack(f"<H{2 * len(keys)}H", len(keys), *map(len, keys), *map(len, values))
    return lengths + b"".join(keys) + b"".join(values)


def unpack_sales(value: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the entries of one record that `pack_sales` made.

    Raises:
        CorruptRecordError: the bytes are not such a record.
    """
    try:
        (count,) = struct.unpack_from("<H", value)
        lengths = struct.unpack_from(f"<{2 * count}H", value, 2)
    except struct.error:
        raise CorruptRecordError("a record of packed sales is cut short") from None
    places = list(accumulate(lengths, initial=2 + 4 * count))
    if places[-1] != len(value):
        raise CorruptRecordError("the length of a record of packed sales is not what it says")
    for number in range(count):
        key = value[places[number] : places[number + 1]]
        if key[:1] != Family.SALES.value:
            raise CorruptRecordError(f"{key[:40]!r} is not the key of a packed sale")
        yield key, value[places[count + number] : places[count + number + 1]]


def check(key: bytes, value: bytes | None) -> None:
    """Refuse what is not a record of a changelog of this format.

    Histograms and sales are decoded only when they are read.

    Raises:
        CorruptRecordError: the key is foreign, or the format version is another one.
    """
    packed = key[:1] == PACK_PREFIX and len(key) == _PACK_KEY.size
    if packed or key[:1] in _FAMILY_BYTES:
        return
    if not key.startswith(_POSITION_PREFIX):
        raise CorruptRecordError(f"{key[:40]!r} is not a key of the changelog of statistics")
    if value is not None:
        _next_offset(value)


def _next_offset(value: bytes) -> int:
    if len(value) != _POSITION.size or value[0] not in READABLE_VERSIONS:
        raise CorruptRecordError(
            f"the changelog of statistics is not in format {FORMAT_VERSION} or older; "
            "use the release that wrote it, or start from an empty changelog"
        )
    offset: int = _POSITION.unpack(value)[1]
    return offset
