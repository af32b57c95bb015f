"""Who sells: some sell a lot and most a little, each with habits of price and of photography."""

from dataclasses import dataclass

import numpy as np

from simulator.catalogue import Category
from simulator.photos.backgrounds import BACKGROUNDS

HABIT_SIGMA = 0.18  # of the log price: some always ask for more, and get it
SELLER_ZIPF = 1.0
CATEGORY_ZIPF = (
    0.6  # flatter, so that the rarest of the categories still has listings to learn from
)
FAVOURITE_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Seller:
    """A seller. `habit` adds to the log of every price; `backgrounds` is where photos are taken."""

    seller_id: str
    habit: float
    favourite: Category
    backgrounds: tuple[str, ...]


class Sellers:
    """The sellers of a market, the busiest first.

    Args:
        count: how many there are.
        categories: what is traded, the most popular first.
        rng: draws their habits.
    """

    def __init__(
        self, count: int, categories: tuple[Category, ...], rng: np.random.Generator
    ) -> None:
        self._categories = categories
        self._category_shares = _zipf(len(categories), CATEGORY_ZIPF)
        self._shares = _zipf(count, SELLER_ZIPF)
        self._sellers = [
            Seller(
                seller_id=f"seller-{number:05d}",
                habit=float(rng.normal(0, HABIT_SIGMA)),
                favourite=self._any_category(rng),
                backgrounds=tuple(str(name) for name in rng.choice(BACKGROUNDS, 3, replace=False)),
            )
            for number in range(1, count + 1)
        ]

    def pick(self, rng: np.random.Generator) -> tuple[Seller, Category]:
        """Return who sells next, and what kind of thing."""
        seller = self._sellers[rng.choice(len(self._sellers), p=self._shares)]
        if rng.random() < FAVOURITE_SHARE:
            return seller, seller.favourite
        return seller, self._any_category(rng)

    def _any_category(self, rng: np.random.Generator) -> Category:
        return self._categories[rng.choice(len(self._categories), p=self._category_shares)]


def _zipf(count: int, exponent: float) -> np.ndarray:
    weights = np.arange(1, count + 1) ** -exponent
    return np.asarray(weights / weights.sum())
