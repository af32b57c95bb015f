"""Counts by bucket, in the form that is cheap for how many buckets are in use.

Most sellers sell a few things: a dict of a few entries costs least to keep, to change and to
encode. A category fills hundreds of buckets: there a window of 64-bit counts over the octaves
in use is changed, summed and encoded in single numpy calls.
"""

from typing import Self

import numpy as np

from stats_store.buckets import BUCKETS, SUB_BUCKETS, Integers
from stats_store.errors import NothingToRemoveError

FEW = 64  # from here on encoding a dict costs more than encoding a window

_NO_COUNTS = np.zeros(0, dtype=np.int64)


class BucketCounts:
    """A multiset of bucket indices. No count is ever negative; zero counts are never shown."""

    __slots__ = ("_few", "_first", "_window")

    def __init__(self) -> None:
        self._few: dict[int, int] | None = {}
        self._first = 0
        self._window = _NO_COUNTS

    @classmethod
    def of_few(cls, counts: dict[int, int]) -> Self:
        """Take over positive counts by bucket, at most `FEW`."""
        made = cls()
        made._few = counts
        return made

    @classmethod
    def of_many(cls, buckets: Integers, counts: Integers) -> Self:
        """Make from buckets `[K]`, ascending, and their positive counts `[K]`."""
        made = cls()
        made._few = None
        made._cover(int(buckets[0]), int(buckets[-1]))
        made._window[buckets - made._first] = counts
        return made

    def few(self) -> dict[int, int] | None:
        """Return the counts by bucket, not to be changed, or None where they are many."""
        return self._few

    def arrays(self) -> tuple[Integers, Integers]:
        """Return the buckets in use, ascending, `[K]`, and their counts `[K]`."""
        if self._few is None:
            used = np.flatnonzero(self._window)
            return used + self._first, self._window[used]
        buckets = sorted(self._few)
        counts = [self._few[bucket] for bucket in buckets]
        return np.array(buckets, dtype=np.int64), np.array(counts, dtype=np.int64)

    def increment_few(self, bucket: int) -> bool:
        """Count one bucket once where few are in use; else do nothing and return False."""
        few = self._few
        if few is None:
            return False
        few[bucket] = few.get(bucket, 0) + 1
        if len(few) > FEW:
            self._spread()
        return True

    def increment(self, buckets: list[int]) -> None:
        """Count each of buckets `[N]`, N at least 1, once."""
        if self._few is not None and len(buckets) <= FEW:
            buckets = [bucket for bucket in buckets if not self.increment_few(bucket)]
            if not buckets:
                return
        array = np.array(buckets, dtype=np.int64)
        if self._few is not None:
            self._spread()
        self._cover(int(array.min()), int(array.max()))
        np.add.at(self._window, array - self._first, 1)

    def add(self, buckets: Integers, counts: Integers) -> None:
        """Add counts `[K]` to distinct buckets `[K]`, ascending."""
        if not buckets.size:
            return
        few = self._few
        if few is not None and len(few) + buckets.size <= FEW:
            for bucket, count in zip(buckets.tolist(), counts.tolist(), strict=True):
                few[bucket] = few.get(bucket, 0) + count
            return
        if few is not None:
            self._spread()
        self._cover(int(buckets[0]), int(buckets[-1]))
        self._window[buckets - self._first] += counts

    def take(self, buckets: Integers, counts: Integers) -> None:
        """Take counts `[K]` from distinct buckets `[K]`, ascending.

        Raises:
            NothingToRemoveError: a bucket holds less than is to be taken; nothing was changed.
        """
        if not buckets.size:
            return
        few = self._few
        if few is not None:
            left = [
                (bucket, few.get(bucket, 0) - count)
                for bucket, count in zip(buckets.tolist(), counts.tolist(), strict=True)
            ]
            if min(count for _, count in left) < 0:
                raise NothingToRemoveError("a price to be removed was never added")
            for bucket, count in left:
                if count:
                    few[bucket] = count
                else:
                    del few[bucket]
            return
        last = self._first + self._window.size
        if buckets[0] < self._first or buckets[-1] >= last:
            raise NothingToRemoveError("a price to be removed was never added")
        slots = buckets - self._first
        if (self._window[slots] < counts).any():
            raise NothingToRemoveError("a price to be removed was never added")
        self._window[slots] -= counts

    def copy(self) -> "BucketCounts":
        """Return counts that change apart from these."""
        other = BucketCounts()
        other._few = None if self._few is None else dict(self._few)
        other._first = self._first
        other._window = self._window if self._few is not None else self._window.copy()
        return other

    def _spread(self) -> None:
        buckets, counts = self.arrays()
        self._few = None
        if buckets.size:
            self._cover(int(buckets[0]), int(buckets[-1]))
            self._window[buckets - self._first] = counts

    def _cover(self, lowest: int, highest: int) -> None:
        first, end = self._first, self._first + self._window.size
        if first <= lowest and highest < end:
            return
        # Whole octaves, so that a window is seldom widened.
        new_first = lowest // SUB_BUCKETS * SUB_BUCKETS
        new_end = min((highest // SUB_BUCKETS + 1) * SUB_BUCKETS, BUCKETS)
        if self._window.size:
            new_first, new_end = min(new_first, first), max(new_end, end)
        window = np.zeros(new_end - new_first, dtype=np.int64)
        window[first - new_first : end - new_first] = self._window
        self._first, self._window = new_first, window
