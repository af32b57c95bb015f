"""The canonical bytes of a histogram: equal multisets of prices, equal bytes.

Little-endian: format version, bytes a count, bytes of the sum, the sum, the indices of the
buckets in use as 16-bit integers, ascending, then their counts in the least of 1, 2, 4 and 8
bytes that holds the largest.
"""

import struct

import numpy as np

from stats_store.buckets import BUCKETS, HIGHEST, LOWEST, Integers
from stats_store.counts import FEW, BucketCounts
from stats_store.errors import CorruptHistogramError

FORMAT_VERSION = 1

_HEADER = struct.Struct("<BBB")  # format version, bytes a count, bytes of the sum
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_LOWEST: list[int] = LOWEST.tolist()
_HIGHEST: list[int] = HIGHEST.tolist()
_INT64_MAX = 2**63 - 1
_FEW_BODY = {
    (width, size): struct.Struct(f"<{size}H{size}{code}").pack
    for width, code in _CODES.items()
    for size in range(FEW + 1)
}
_HEADERS = {
    (width, sum_width): _HEADER.pack(FORMAT_VERSION, width, sum_width)
    for width in _CODES
    for sum_width in range(256)
}


def encode(counts: BucketCounts, total: int) -> bytes:
    """Encode counts and the exact sum of the prices behind them."""
    few = counts.few()
    if few is not None:
        buckets = sorted(few)
        amounts = [few[bucket] for bucket in buckets]
        width = _count_width(max(amounts)) if amounts else 1
        body = _FEW_BODY[width, len(buckets)](*buckets, *amounts)
    else:
        used, numbers = counts.arrays()
        width = _count_width(int(numbers.max(initial=0)))
        body = used.astype("<u2").tobytes() + numbers.astype(f"<u{width}").tobytes()
    sum_width = _bytes_in(total)
    return _HEADERS[width, sum_width] + total.to_bytes(sum_width, "little") + body


def decode(data: bytes) -> tuple[BucketCounts, int, int]:
    """Decode what `encode` wrote into counts, number of prices and sum of prices.

    Raises:
        CorruptHistogramError: the bytes are not the canonical encoding of a histogram.
    """
    if len(data) < _HEADER.size:
        raise CorruptHistogramError(f"{len(data)} bytes are too few for a histogram")
    version, width, sum_width = _HEADER.unpack_from(data)
    if version != FORMAT_VERSION:
        raise CorruptHistogramError(f"histogram format {version} is not {FORMAT_VERSION}")
    start = _HEADER.size + sum_width
    if width not in _CODES or len(data) < start or (len(data) - start) % (2 + width):
        raise CorruptHistogramError("the length of an encoded histogram does not fit its header")
    size = (len(data) - start) // (2 + width)
    total = int.from_bytes(data[_HEADER.size : start], "little")
    if size <= FEW:
        numbers = struct.unpack_from(f"<{size}H{size}{_CODES[width]}", data, start)
        counts, largest, count, lowest, highest = _few(numbers[:size], numbers[size:])
    else:
        used = np.frombuffer(data, "<u2", size, start).astype(np.int64)
        amounts = np.frombuffer(data, f"<u{width}", size, start + 2 * size).astype(np.int64)
        counts, largest, count, lowest, highest = _many(used, amounts)
    if _count_width(largest) != width or _bytes_in(total) != sum_width:
        raise CorruptHistogramError("an encoded histogram uses wider numbers than it needs")
    if count > _INT64_MAX or not lowest <= total <= highest:
        raise CorruptHistogramError("the sum of an encoded histogram does not fit its buckets")
    return counts, count, total


def _few(
    buckets: tuple[int, ...], amounts: tuple[int, ...]
) -> tuple[BucketCounts, int, int, int, int]:
    table = dict(zip(buckets, amounts, strict=True))
    if not buckets:
        return BucketCounts(), 0, 0, 0, 0
    ascending = len(table) == len(buckets) and sorted(buckets) == list(buckets)
    if not ascending or buckets[-1] >= BUCKETS or min(amounts) < 1:
        raise _misfit()
    lowest = sum(_LOWEST[bucket] * amount for bucket, amount in table.items())
    highest = sum(_HIGHEST[bucket] * amount for bucket, amount in table.items())
    return BucketCounts.of_few(table), max(amounts), sum(amounts), lowest, highest


def _many(used: Integers, amounts: Integers) -> tuple[BucketCounts, int, int, int, int]:
    if used[-1] >= BUCKETS or (used[1:] <= used[:-1]).any() or amounts.min() < 1:
        raise _misfit()
    largest = int(amounts.max())
    if largest * int(amounts.size) * _HIGHEST[int(used[-1])] <= _INT64_MAX:
        count = int(amounts.sum())
        lowest, highest = int(LOWEST[used] @ amounts), int(HIGHEST[used] @ amounts)
    else:
        table = dict(zip(used.tolist(), amounts.tolist(), strict=True))
        count = sum(table.values())
        lowest = sum(_LOWEST[bucket] * amount for bucket, amount in table.items())
        highest = sum(_HIGHEST[bucket] * amount for bucket, amount in table.items())
    return BucketCounts.of_many(used, amounts), largest, count, lowest, highest


def _misfit() -> CorruptHistogramError:
    return CorruptHistogramError("the buckets of an encoded histogram are not in order")


def _bytes_in(number: int) -> int:
    return (number.bit_length() + 7) >> 3


def _count_width(largest: int) -> int:
    if largest < 256:
        return 1
    needed = _bytes_in(largest)
    return 2 if needed == 2 else 4 if needed <= 4 else 8
