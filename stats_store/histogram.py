"""Sold prices as a histogram that is exact to merge, exact to undo and equal in any order."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from schemas.money import MAX_MINOR_UNITS
from stats_store.buckets import MIDDLE, Integers, bucket_of, buckets_of
from stats_store.counts import BucketCounts
from stats_store.encoding import decode, encode
from stats_store.errors import EmptyHistogramError, NothingToRemoveError

_SHORT = 16  # up to here a Python loop costs less than the fixed cost of numpy calls


class PriceHistogram:
    """A multiset of prices in minor units, kept as counts in log-linear buckets.

    Count and sum are exact, quantiles are at most 0.4 % off, and all state is integers, so the
    same prices give the same bytes in whatever order and batches they came and went. Where many
    buckets are in use, additions are buffered and applied in one step when it is next read.
    """

    __slots__ = ("_bytes", "_count", "_counts", "_pending", "_sum")

    def __init__(self) -> None:
        self._counts = BucketCounts()
        self._count = 0
        self._sum = 0
        self._pending: list[int] = []  # buckets of prices that are counted and summed already
        self._bytes: bytes | None = None  # the encoding, until the next change

    @property
    def count(self) -> int:
        """Number of prices."""
        return self._count

    @property
    def sum(self) -> int:
        """Sum of the prices in minor units, exact."""
        return self._sum

    def add(self, price: int) -> None:
        """Add one price.

        Raises:
            ValueError: the price is no integer or outside 1..MAX_MINOR_UNITS.
        """
        if not isinstance(price, int) or not 1 <= price <= MAX_MINOR_UNITS:
            raise ValueError(f"price {price!r} is not an integer in 1..{MAX_MINOR_UNITS}")
        self._add(price)

    def add_many(self, prices: Integers | Sequence[int]) -> None:
        """Add prices `[N]`.

        Raises:
            ValueError: a price is no integer or outside 1..MAX_MINOR_UNITS; none was added.
        """
        self.add_good(_checked(prices))

    def add_good(self, prices: list[int]) -> None:
        """Add prices `[N]` that are known to be integers in 1..MAX_MINOR_UNITS."""
        if len(prices) <= _SHORT:
            for price in prices:
                self._add(price)
            return
        self._bytes = None
        self._pending += buckets_of(np.array(prices, dtype=np.int64)).tolist()
        self._count += len(prices)
        self._sum += sum(prices)

    def remove(self, price: int) -> None:
        """Take back one price that was added; see `remove_many`."""
        self.remove_many((price,))

    def remove_many(self, prices: Integers | Sequence[int]) -> None:
        """Take back prices `[N]` that were added.

        What is not there is recognised by its bucket; two prices of one bucket are told apart
        only when the last price goes and the sum does not come out as zero.

        Raises:
            ValueError: a price is no integer or outside 1..MAX_MINOR_UNITS.
            NothingToRemoveError: a price is not there. The histogram is unchanged either way.
        """
        values = _checked(prices)
        if not values:
            return
        array = np.array(values, dtype=np.int64)
        buckets, counts = np.unique(buckets_of(array), return_counts=True)
        self._take(buckets, counts.astype(np.int64), len(values), sum(values))

    def merge(self, other: "PriceHistogram") -> None:
        """Add all prices of another histogram, which is left as it was."""
        self._settle()
        other._settle()
        count, total = other._count, other._sum
        self._bytes = None
        self._counts.add(*other._counts.arrays())
        self._count += count
        self._sum += total

    def subtract(self, other: "PriceHistogram") -> None:
        """Take back all prices of another histogram, which is left as it was.

        Raises:
            NothingToRemoveError: they are not all there; the histogram is unchanged.
        """
        other._settle()
        self._take(*other._counts.arrays(), other._count, other._sum)

    def copy(self) -> "PriceHistogram":
        """Return a histogram of the same prices that changes apart from this one."""
        self._settle()
        other = PriceHistogram()
        other._counts = self._counts.copy()
        other._count = self._count
        other._sum = self._sum
        return other

    def quantile(self, numerator: int, denominator: int) -> int:
        """Return the quantile `q = numerator / denominator` in minor units.

        Nearest rank: the price of rank `ceil(q * n)`, at least 1, among the n prices in
        ascending order; here the middle of the bucket it lies in.

        Raises:
            ValueError: q is not a fraction in 0..1.
            EmptyHistogramError: there are no prices.
        """
        if denominator < 1 or not 0 <= numerator <= denominator:
            raise ValueError(f"quantile {numerator}/{denominator} is outside 0..1")
        return self._at_ranks([max(1, -(-numerator * self.count // denominator))])[0]

    def quartiles(self) -> tuple[int, int, int]:
        """Return the quantiles 1/4, 2/4 and 3/4 in minor units, found in one pass.

        Raises:
            EmptyHistogramError: there are no prices.
        """
        first, second, third = self._at_ranks([-(-self.count * k // 4) for k in (1, 2, 3)])
        return first, second, third

    def mean(self) -> int:
        """Return the mean in minor units, rounded half up.

        Raises:
            EmptyHistogramError: there are no prices.
        """
        self._settle()
        if not self._count:
            raise EmptyHistogramError("a histogram without prices has no mean")
        return (2 * self._sum + self._count) // (2 * self._count)

    def to_bytes(self) -> bytes:
        """Return the canonical encoding: equal multisets of prices, equal bytes."""
        if self._bytes is None:
            self._settle()
            self._bytes = encode(self._counts, self._sum)
        return self._bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Decode what `to_bytes` returned.

        Raises:
            CorruptHistogramError: the bytes are not the canonical encoding of a histogram.
        """
        histogram = cls()
        histogram._counts, histogram._count, histogram._sum = decode(data)
        return histogram

    def _add(self, price: int) -> None:
        self._bytes = None
        self._count += 1
        self._sum += price
        bucket = bucket_of(price)
        if not self._counts.increment_few(bucket):
            self._pending.append(bucket)

    def _settle(self) -> None:
        if self._pending:
            self._counts.increment(self._pending)
            self._pending = []

    def _take(self, buckets: Integers, counts: Integers, count: int, total: int) -> None:
        self._settle()
        if count > self._count or (count == self._count and total != self._sum):
            raise NothingToRemoveError("more was to be removed than the histogram holds")
        self._bytes = None
        self._counts.take(buckets, counts)
        self._count -= count
        self._sum -= total

    def _at_ranks(self, ranks: list[int]) -> list[int]:
        self._settle()
        if not self._count:
            raise EmptyHistogramError("a histogram without prices has no quantiles")
        buckets, counts = self._counts.arrays()
        places = np.searchsorted(np.cumsum(counts), ranks)
        prices: list[int] = MIDDLE[buckets[places]].tolist()
        return prices


def _checked(prices: Integers | Sequence[int]) -> list[int]:
    if isinstance(prices, np.ndarray):
        if prices.dtype.kind not in "iu":
            raise ValueError(f"prices are {prices.dtype}, not integers")
        values: list[int] = prices.tolist()
    else:
        values = list(prices)
        if not all(isinstance(value, int) for value in values):
            raise ValueError("prices are not all integers")
    if values and not (min(values) >= 1 and max(values) <= MAX_MINOR_UNITS):
        raise ValueError(f"a price is outside 1..{MAX_MINOR_UNITS}")
    return values
