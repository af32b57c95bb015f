"""Batch sizes that a device is prepared for."""

from bisect import bisect_left
from collections.abc import Sequence

_STEP = 8  # from here on: at most 7 rows of a batch are padding


def bucket_sizes(limit: int) -> tuple[int, ...]:
    """Return, ascending, 1, 2, 4, then every eighth size below `limit`, and `limit` itself.

    Powers of two all the way would pad 33 photos to 64; these sizes cost a graph each but share
    its memory.
    """
    return (*(size for size in (1, 2, 4, *range(_STEP, limit, _STEP)) if size < limit), limit)


def bucket_of(count: int, sizes: Sequence[int]) -> int:
    """Return the smallest of the ascending sizes that holds `count`, which one of them does."""
    return sizes[bisect_left(sizes, count)]
