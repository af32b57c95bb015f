"""The price law: what a thing sells for, and how far from that no model can foretell it.

    log price = category + brand + attributes + condition + variant      (in the photo)
              + seller's habit + category's trend on the day             (in the statistics)
              + hidden specification + noise                             (nowhere)

All in natural logs. So the best possible guess of a price, the oracle, is known.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from math import exp, log, pi, sin, sqrt

import numpy as np

from schemas.money import minor_unit_digits
from simulator.catalogue import (
    COLOURS,
    CONDITIONS,
    MATERIALS,
    PATTERNS,
    PRICE_LEVELS,
    UNBRANDED_EFFECT,
    Category,
)
from simulator.things import Thing

TREND_DAYS = 60.0  # the slope is what a category gains or loses in that time
TREND_SIGMA = 0.20
WAVE = 0.06
WAVE_DAYS = 28.0


class PriceLaw:
    """Prices in one currency, with a trend of its own for each category.

    Args:
        categories: what is traded.
        currency: ISO 4217 code; sets the level of prices and the decimals they have.
        rng: draws the trends.
    """

    def __init__(
        self, categories: tuple[Category, ...], *, currency: str, rng: np.random.Generator
    ) -> None:
        self.currency = currency
        self._level = log(PRICE_LEVELS.get(currency, 1.0))
        self._unit = Decimal(1).scaleb(-minor_unit_digits(currency))
        self._slopes = {each.path: float(rng.normal(0, TREND_SIGMA)) for each in categories}
        self._phases = {each.path: float(rng.uniform(0, 2 * pi)) for each in categories}

    def trend(self, category: Category, day: float) -> float:
        """Return how far the category is above its base on a day of the simulation, in logs."""
        wave = WAVE * sin(2 * pi * day / WAVE_DAYS + self._phases[category.path])
        return self._slopes[category.path] * day / TREND_DAYS + wave

    def log_photo(self, thing: Thing) -> float:
        """Return the log of what all that can be seen of a thing is worth, in whole units.

        One who reads the photo without a mistake, and knows nothing of seller and day, can say
        no more than this.
        """
        category = thing.category
        brand = UNBRANDED_EFFECT if thing.brand is None else thing.brand.effect
        return (
            self._level
            + log(category.base)
            + category.brand_weight * brand
            + COLOURS[thing.colour]
            + PATTERNS[thing.pattern]
            + MATERIALS[thing.material]
            + CONDITIONS[thing.condition]
            + category.variant.effect * thing.variant
        )

    def log_oracle(self, thing: Thing, habit: float, day: float) -> float:
        """Return the log of the median price given all that can be known, in whole units."""
        return self.log_photo(thing) + habit + self.trend(thing.category, day)

    def log_price(self, thing: Thing, habit: float, day: float, rng: np.random.Generator) -> float:
        """Return the log of a price the thing fetches, in whole units."""
        surprise = thing.category.hidden.effect * (thing.hidden - 1)
        noise = float(rng.normal(0, thing.category.noise))
        return self.log_oracle(thing, habit, day) + surprise + noise

    def noise_sigma(self, category: Category) -> float:
        """Return the standard deviation of a log price around its oracle."""
        return sqrt(category.noise**2 + category.hidden.variance)

    def irrational_price(self, rng: np.random.Generator) -> float:
        """Return a price nobody means: next to nothing, or a number typed for fun."""
        low, high = (0.02, 0.5) if rng.random() < 0.5 else (20_000.0, 900_000.0)
        return exp(float(rng.uniform(log(low), log(high))) + self._level)

    def text(self, amount: float, digits: int = 3) -> str:
        """Return an amount as people write prices: that many significant digits, at least one unit.

        The unit is the smallest of the currency; the text has its decimals.
        """
        rounded = Decimal(f"{amount:.{digits}g}").quantize(self._unit, ROUND_HALF_EVEN)
        return f"{max(rounded, self._unit):f}"
