"""The records of a partition's changelog, which are also the entries of its store.

A key is one byte for the column family and the key inside it; a value replaces the one before,
so that a compacted topic holds the whole state; a value of None deletes. What is deleted must be
such that whoever keeps it comes to no other answer, since a reader that comes back after the
topic has dropped the tombstones never hears of them: what has expired by the days of the sales.
A histogram that lost its last price is written empty, not deleted.

The sales of a batch travel packed, up to 256 in a record: one by one they would cost more than
all the rest of a batch. No two batches share the key of such a record, so that compaction never
takes one away, and a sale that changes later is found again in a later one.
"""

import struct
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import accumulate, pairwise

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
PACK_DAYS_PREFIX = b"mpack/"  # local: which day a record of packed sales is of, to let it go
RULES_KEY = b"mrules"  # what the statistics are of; see stats_store.rules
DAY_KEY = b"mday"  # the latest day of a sale, in days since 1970
FORGOTTEN_KEY = b"mforgotten"  # the latest day whose sales are not remembered any more
PARKED_PREFIX = b"mparked/"  # a day and the key of a reversal that waits since then
POSITION_PREFIX = b"mposition/"

_FAMILY_BYTES = frozenset(family.value for family in (Family.HISTOGRAMS, Family.SALES))
_SALES_BYTE = Family.SALES.value
_POSITION = struct.Struct("<Bq")  # the format version travels with the changelog, too
PACK_PREFIX = b"b"
_PACK_KEY = struct.Struct(">cQH")  # the changelog position before the batch, number in the batch
_PACK_HEADER = struct.Struct("<IH")  # the day, how many
_PACKED_ENTRIES = 256  # 15 KiB as a rule
_PACKED_BYTES = 512 * 1024  # well below what brokers take


def position_change(topic: str, next_offset: int) -> Change:
    """Return the record that says how far an input topic has been applied."""
    return POSITION_PREFIX + topic.encode(), _POSITION.pack(FORMAT_VERSION, next_offset)


def positions(entries: Sequence[tuple[bytes, bytes]]) -> dict[str, int]:
    """Return the next offset by input topic from the entries of the column family meta."""
    return {
        key.removeprefix(POSITION_PREFIX).decode(): _next_offset(value)
        for key, value in entries
        if key.startswith(POSITION_PREFIX)
    }


def pack_sales(
    entries: Sequence[tuple[bytes, bytes]], *, position: int, day: int
) -> list[tuple[bytes, bytes]]:
    """Return entries of the family of sales as records of the changelog.

    Args:
        entries: keys and values, in the order in which they are to be applied; an empty value
            deletes.
        position: the position in the changelog before the batch, which no other batch has.
        day: the latest day of a sale so far.
    """
    packs = (
        _packed(day, piece)
        for start in range(0, len(entries), _PACKED_ENTRIES)
        for piece in _pieces(entries[start : start + _PACKED_ENTRIES])
    )
    return [
        (_PACK_KEY.pack(PACK_PREFIX, position, number), pack) for number, pack in enumerate(packs)
    ]


def _pieces(
    entries: Sequence[tuple[bytes, bytes]],
) -> Iterator[Sequence[tuple[bytes, bytes]]]:
    """Yield entries in pieces that are not too large for a record."""
    if len(entries) > 1 and sum(len(key) + len(value) for key, value in entries) > _PACKED_BYTES:
        half = len(entries) // 2
        yield from _pieces(entries[:half])
        yield from _pieces(entries[half:])
    else:
        yield entries


def _packed(day: int, entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    # The day, how many, the lengths of the keys, those of the values, the keys, the values.
    keys, values = zip(*entries, strict=True)
    lengths = struct.pack(f"<{2 * len(keys)}H", *map(len, keys), *map(len, values))
    return _PACK_HEADER.pack(day, len(keys)) + lengths + b"".join(keys) + b"".join(values)


def pack_day(key: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return the entry by which a store remembers of which day a record of packed sales is."""
    day, _ = _PACK_HEADER.unpack_from(value)
    return PACK_DAYS_PREFIX + day.to_bytes(4, "big") + key, b""


def unpack_sales(value: bytes) -> list[tuple[bytes, bytes]]:
    """Return the entries of one record that `pack_sales` made.

    Raises:
        CorruptRecordError: the bytes are not such a record.
    """
    try:
        _, count = _PACK_HEADER.unpack_from(value)
        lengths = struct.unpack_from(f"<{2 * count}H", value, _PACK_HEADER.size)
    except struct.error:
        raise CorruptRecordError("a record of packed sales is cut short") from None
    places = list(accumulate(lengths, initial=_PACK_HEADER.size + 4 * count))
    if places[-1] != len(value):
        raise CorruptRecordError("the length of a record of packed sales is not what it says")
    pieces = [value[start:end] for start, end in pairwise(places)]
    keys = pieces[:count]
    if any(key[:1] != _SALES_BYTE for key in keys):
        raise CorruptRecordError("a record of packed sales has a key that is not that of a sale")
    return list(zip(keys, pieces[count:], strict=True))


def check(key: bytes, value: bytes | None) -> None:
    """Refuse what is not a record of a changelog of this format.

    Histograms and sales are decoded only when they are read.

    Raises:
        CorruptRecordError: the key is foreign, or the format version is another one.
    """
    packed = key[:1] == PACK_PREFIX and len(key) == _PACK_KEY.size
    if packed or key[:1] in _FAMILY_BYTES or key in (RULES_KEY, DAY_KEY, FORGOTTEN_KEY):
        return
    if key.startswith(PARKED_PREFIX):
        return
    if not key.startswith(POSITION_PREFIX):
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
