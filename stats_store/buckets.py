"""Log-linear price buckets: 128 to an octave, one to a price below 256 minor units.

A price of `shift + 8` bits lies in bucket `128 * shift + (price >> shift)`, so the lower edge
and the width of every bucket are integers and no logarithm is taken. The middle of a bucket
stands for the prices in it and is at most 1/256 of such a price off (0.39 %).
"""

import numpy as np
import numpy.typing as npt

from schemas.money import MAX_MINOR_UNITS

Integers = npt.NDArray[np.int64]

_SUB_BUCKET_BITS = 7
_EXACT_BITS = _SUB_BUCKET_BITS + 1
SUB_BUCKETS = 1 << _SUB_BUCKET_BITS
_POWERS_OF_TWO = np.left_shift(np.int64(1), np.arange(63, dtype=np.int64))


def bucket_of(price: int) -> int:
    """Return the bucket of one price in minor units."""
    shift = price.bit_length() - _EXACT_BITS
    return price if shift <= 0 else (shift << _SUB_BUCKET_BITS) + (price >> shift)


def buckets_of(prices: Integers) -> Integers:
    """Return the buckets of prices `[N]` in minor units."""
    bits = np.searchsorted(_POWERS_OF_TWO, prices, side="right")  # integer bit length
    shift = np.maximum(bits - _EXACT_BITS, 0)
    return (shift << _SUB_BUCKET_BITS) + (prices >> shift)


BUCKETS = bucket_of(MAX_MINOR_UNITS) + 1
"""Number of buckets up to the highest price; an index fits in 16 bits."""


def _edges() -> tuple[Integers, Integers, Integers]:
    index = np.arange(BUCKETS, dtype=np.int64)
    shift = np.maximum((index >> _SUB_BUCKET_BITS) - 1, 0)
    lowest = (index - (shift << _SUB_BUCKET_BITS)) << shift
    width = np.left_shift(np.int64(1), shift)
    # The last bucket reaches beyond the highest price; no answer may.
    middle, highest = lowest + (width >> 1), lowest + width - 1
    return lowest, np.minimum(middle, MAX_MINOR_UNITS), np.minimum(highest, MAX_MINOR_UNITS)


LOWEST, MIDDLE, HIGHEST = _edges()
"""The lowest price of each bucket, the one that stands for it, and the highest, in minor units."""
