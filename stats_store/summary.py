"""The numbers of a histogram, for those who ask for them."""

from dataclasses import dataclass
from typing import Self

from stats_store.buckets import HIGHEST, LOWEST
from stats_store.encoding import decode
from stats_store.histogram import PriceHistogram


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many prices lie from `lowest` to `highest`, both included, in minor units."""

    lowest: int
    highest: int
    count: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Count, sum, mean (rounded half up) and quartiles (nearest rank) of prices, in minor units.

    Without prices the mean and the quartiles are None.
    """

    count: int
    sum: int
    mean: int | None
    q1: int | None
    q2: int | None
    q3: int | None

    @classmethod
    def of(cls, histogram: PriceHistogram) -> Self:
        """Return the numbers of a histogram."""
        if not histogram.count:
            return cls(count=0, sum=0, mean=None, q1=None, q2=None, q3=None)
        q1, q2, q3 = histogram.quartiles()
        return cls(histogram.count, histogram.sum, histogram.mean(), q1, q2, q3)


def buckets_of(histogram: PriceHistogram) -> list[Bucket]:
    """Return the buckets in which there are prices, in order of price."""
    counts, *_ = decode(histogram.to_bytes())
    buckets, numbers = counts.arrays()
    return [
        Bucket(*of_bucket)
        for of_bucket in zip(
            LOWEST[buckets].tolist(), HIGHEST[buckets].tolist(), numbers.tolist(), strict=True
        )
    ]
