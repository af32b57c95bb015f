"""Which prices are rational (3.1): limits found on the training part, applied to all parts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Tukey's fences, which cut 0.7 % of a normal distribution; log prices are close to one (Fig. 3).
FENCE = 1.5
# In natural log: where half of the prices are all but equal, the others are not irrational yet.
MIN_SPREAD = 1.0


@dataclass(frozen=True, slots=True)
class PriceLimits:
    """The lowest and the highest rational price, in minor units, both included."""

    low_minor: int
    high_minor: int

    def contain(self, price_minor: int | None) -> bool:
        """Tell whether there is a price and it is rational."""
        return price_minor is not None and self.low_minor <= price_minor <= self.high_minor


@dataclass(frozen=True, slots=True)
class PriceCut:
    """How many prices of a part lie outside of the limits.

    Attributes:
        listings: of the part.
        priced: those with a price above zero.
        cut_low: prices of them that are irrationally cheap.
        cut_high: irrationally dear.
    """

    listings: int
    priced: int
    cut_low: int
    cut_high: int

    @property
    def share(self) -> float:
        """Share of the prices that is cut; the paper cuts 5 %."""
        return (self.cut_low + self.cut_high) / self.priced if self.priced else 0.0

    @classmethod
    def of(cls, prices_minor: Sequence[int | None], limits: PriceLimits) -> "PriceCut":
        """Count what the limits cut of the prices of a part, None where there is no price."""
        priced = [price for price in prices_minor if price]
        low = sum(price < limits.low_minor for price in priced)
        high = sum(price > limits.high_minor for price in priced)
        return cls(len(prices_minor), len(priced), low, high)


def rational_limits(prices_minor: Sequence[int], *, fence: float = FENCE) -> PriceLimits:
    """Return the limits outside of which a price is irrational.

    The paper deletes the 5 % of its items that are irrationally cheap or dear, and does not say by
    what limits. Of other data a fixed share is too small, and leaves thousandfold prices, or too
    large, and cuts what is merely dear. Here the limits lie `fence` times the distance of the
    quartiles beyond them, on log prices, drawn in to the next price. Nonsense at either end does
    not move the quartiles much. Prices below one minor unit are no prices and play no part.

    Raises:
        ValueError: no price is above zero.
    """
    prices = np.sort(np.asarray([price for price in prices_minor if price > 0], dtype=np.int64))
    if not len(prices):
        raise ValueError("no price is above zero")
    logs = np.log(prices)
    first, third = np.quantile(logs, [0.25, 0.75])
    margin = fence * max(MIN_SPREAD, third - first)
    kept = prices[(logs >= first - margin) & (logs <= third + margin)]
    return PriceLimits(int(kept[0]), int(kept[-1]))
