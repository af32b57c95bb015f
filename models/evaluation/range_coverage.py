"""How often the range beside a price holds the sold price, over all and by category."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy.stats import binomtest

from models.joint.inputs import category_levels


class Share(BaseModel):
    """A share of `count` items with its 95 % interval (Wilson): what chance leaves open."""

    model_config = ConfigDict(frozen=True)

    count: int
    coverage: float
    coverage_low: float
    coverage_high: float


class RangeCoverage(BaseModel):
    """How often the range of an accepted listing holds its sold price.

    `count` are the accepted listings with a rational price; without any, the rest is None.
    `median_width` is the median of ln(high / low). `coverage_low` and `coverage_high` are the
    95 % interval of `coverage`. `by_category` has the widest level of the category paths.
    """

    model_config = ConfigDict(frozen=True)

    nominal: float
    count: int
    coverage: float | None
    coverage_low: float | None
    coverage_high: float | None
    median_width: float | None
    by_category: dict[str, Share]


def range_coverage(
    inside: npt.NDArray[np.bool_],
    widths: npt.NDArray[np.float64],
    categories: Sequence[str | None],
    *,
    nominal: float,
) -> RangeCoverage:
    """Return the true coverage of the ranges of N accepted listings.

    Args:
        inside: `[N]` whether the sold price is in the range.
        widths: `[N]` ln(high / low).
        categories: `[N]` category paths; a listing without one counts in no category.
        nominal: the probability that the ranges were made for.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for item, category in enumerate(categories):
        for level in category_levels(category)[:1]:
            members[level].append(item)
    whole = _share(inside) if len(inside) else None
    return RangeCoverage(
        nominal=nominal,
        count=len(inside),
        coverage=whole.coverage if whole else None,
        coverage_low=whole.coverage_low if whole else None,
        coverage_high=whole.coverage_high if whole else None,
        median_width=float(np.median(widths)) if whole else None,
        by_category={level: _share(inside[items]) for level, items in sorted(members.items())},
    )


def _share(inside: npt.NDArray[np.bool_]) -> Share:
    count, held = len(inside), int(inside.sum())
    low, high = binomtest(held, count).proportion_ci(method="wilson")
    return Share(
        count=count, coverage=held / count, coverage_low=float(low), coverage_high=float(high)
    )
