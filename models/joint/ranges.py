"""The range beside each price: split-conformal, narrower for surer items, by category.

Sources: Lei et al., "Distribution-free predictive inference for regression" (2018), section 5.2,
for errors in units of their usual size; Vovk et al., "Algorithmic Learning in a Random World"
(2005), section 4.5, for groups.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from models.joint.curve import Curve
from models.joint.inputs import category_levels
from schemas.dataset import CATEGORY_SEPARATOR

RANGE_PROBABILITY = 0.8
# With n items the true coverage varies around its mean by about sqrt(.8 * .2 / n): 6 points at
# 40 items. With fewer than 4 there is no finite range at all.
MIN_GROUP = 40


class RangeTable(BaseModel):
    """Half widths w of the range, in natural log of price: `price / exp(w) .. price * exp(w)`.

    `w = k * spread(s)`: `spread` is the usual size of an error at the score s, k is that of the
    category's own path, else of the nearest level above it in `by_category`, else `pooled`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    probability: float
    spread: Curve
    pooled: float
    by_category: dict[str, float]

    def half_width(self, category: str | None, score: float) -> float:
        """Return the half width for a category, which may be unknown, at a score."""
        usual = float(self.spread(score))
        for path in reversed(category_levels(category)):
            if path in self.by_category:
                return self.by_category[path] * usual
        return self.pooled * usual


def calibrate_ranges(
    errors: npt.NDArray[np.floating],
    scores: npt.NDArray[np.floating],
    categories: Sequence[str | None],
    *,
    spread: Curve,
    probability: float = RANGE_PROBABILITY,
    min_group: int = MIN_GROUP,
) -> RangeTable:
    """Find the half widths that hold the sold price with `probability`.

    Split-conformal: of n absolute errors that training has not seen, each divided by the spread
    at its score, the one of rank `ceil((n + 1) probability)` holds for a new item of the same
    group with at least that probability, if the spread is not of the same errors. It is, and
    smooth: what it then holds is measured (docs/decisions/0035). Groups are disjoint (Mondrian):
    starting at the deepest level, a path that has `min_group` items becomes a group, and the
    items of other paths go one level up. So the groups depend on how many items there are, never
    on their errors.

    Args:
        errors: `[N]`, natural log of suggested over sold price, of the accepted items.
        scores: `[N]`, of the same items.
        categories: `[N]`, category paths.
        spread: usual size of an error at a score, above 0.
        probability: nominal coverage, in (0, 1).
        min_group: smallest group with a factor of its own.

    Raises:
        ValueError: there are too few items for a finite range.
    """
    size = np.abs(np.asarray(errors, dtype=np.float64)) / spread(scores)
    pooled = _conformal_quantile(size, probability)
    waiting: dict[str, list[int]] = defaultdict(list)
    for item, category in enumerate(categories):
        if category:
            waiting[category].append(item)
    by_category: dict[str, float] = {}
    for path in _deepest_first(waiting):
        items = waiting[path]
        above = path.rpartition(CATEGORY_SEPARATOR)[0]
        if len(items) >= min_group:
            by_category[path] = _conformal_quantile(size[items], probability)
        elif above:
            waiting[above] += items
    return RangeTable(
        probability=probability, spread=spread, pooled=pooled, by_category=by_category
    )


def _deepest_first(paths: dict[str, list[int]]) -> list[str]:
    every = {level for path in paths for level in category_levels(path)}
    return sorted(every, key=lambda path: (-path.count(CATEGORY_SEPARATOR), path))


def _conformal_quantile(size: npt.NDArray[np.float64], probability: float) -> float:
    # rounded first: 15 * 0.8 is a little above 12 in floating point
    rank = math.ceil(round((len(size) + 1) * probability, 9))
    if rank > len(size):
        raise ValueError(f"{len(size)} items are too few for a range of {probability:.0%}")
    return float(np.sort(size)[rank - 1])
