"""Which prices are rational (3.1): limits found on the training part, applied to all parts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

IRRATIONAL_SHARE = 0.05  # the paper deletes 5 % of its items


@dataclass(frozen=True, slots=True)
class PriceLimits:
    """The lowest and the highest rational price, in minor units, both included."""

    low_minor: int
    high_minor: int

    def contain(self, price_minor: int | None) -> bool:
        """Tell whether there is a price and it is rational."""
        return price_minor is not None and self.low_minor <= price_minor <= self.high_minor


def rational_limits(
    prices_minor: Sequence[int], *, irrational_share: float = IRRATIONAL_SHARE
) -> PriceLimits:
    """Return the limits that leave out `irrational_share` of the prices, or less for ties.

    Prices below one minor unit are no prices: they go first and count towards the share. The
    rest of it is taken from both ends alike, by rank, since a mistyped price is as often too low
    (1 for "make an offer") as too high (12345 or a phone number).

    Raises:
        ValueError: no price is above zero.
    """
    prices = np.sort(np.asarray(prices_minor, dtype=np.int64))
    positive = prices[prices > 0]
    if not len(positive):
        raise ValueError("no price is above zero")
    to_drop = int(irrational_share * len(prices)) - (len(prices) - len(positive))
    each_end = min(max(0, to_drop) // 2, (len(positive) - 1) // 2)
    return PriceLimits(int(positive[each_end]), int(positive[-1 - each_end]))
