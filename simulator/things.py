"""A thing for sale: the qualities that make its price, drawn at random."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.catalogue import (
    BRAND_SHARES,
    COLOURS,
    CONDITION_SHARES,
    CONDITIONS,
    HIDDEN_OUTER_SHARE,
    PATTERN_SHARES,
    PATTERNS,
    UNBRANDED_SHARE,
    Brand,
    Category,
    brands_of,
)


@dataclass(frozen=True, slots=True)
class Thing:
    """Everything about one thing that has a price; `hidden` (0, 1 or 2) is not to be seen."""

    category: Category
    brand: Brand | None
    colour: str
    pattern: str
    material: str
    condition: str
    variant: bool
    hidden: int


def draw_thing(rng: np.random.Generator, category: Category) -> Thing:
    """Draw a thing of a category."""
    brand = None
    if rng.random() >= UNBRANDED_SHARE:
        brand = brands_of(category)[rng.choice(len(BRAND_SHARES), p=BRAND_SHARES)]
    outer = HIDDEN_OUTER_SHARE
    return Thing(
        category=category,
        brand=brand,
        colour=_pick(rng, list(COLOURS)),
        pattern=_pick(rng, list(PATTERNS), PATTERN_SHARES),
        material=_pick(rng, category.materials),
        condition=_pick(rng, list(CONDITIONS), CONDITION_SHARES),
        variant=bool(rng.random() < 0.4),
        hidden=int(rng.choice(3, p=(outer, 1 - 2 * outer, outer))),
    )


def _pick(
    rng: np.random.Generator, values: Sequence[str], shares: Sequence[float] | None = None
) -> str:
    return values[rng.choice(len(values), p=shares)]
