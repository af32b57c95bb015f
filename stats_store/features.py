"""From histograms to the statistics of a listing, and from those to the columns of a model.

The numbers are the paper's (footnote 2): first, second and third quartile and mean of the sold
prices of the seller, of the category and of all. The counts and the mask are ours.
"""

import math

import numpy as np
import numpy.typing as npt

from schemas.money import minor_unit_digits
from schemas.statistics import Scope, ScopeStatistics, Statistics
from stats_store.histogram import PriceHistogram

STATISTICS_WIDTH = 16  # 12 log prices, 3 log counts, 1 mask

# How far above the third quartile a mean may lie, in interquartile ranges of log price. That of
# log-normal prices lies there only where their sigma is over 2.6.
_FENCE = 0.5
_LEAST_FENCE = 0.2  # where the quartiles are nearly the same


def statistics_of(
    seller: PriceHistogram | None,
    category: PriceHistogram | None,
    overall: PriceHistogram | None,
    currency: str,
) -> Statistics:
    """Return the statistics of a listing from the histograms of its three scopes.

    A scope that is None or empty takes its numbers from the next wider one; its count stays 0
    and its source names where the numbers are from.
    """
    of_all = _statistics(Scope.GLOBAL, overall, None)
    of_category = _statistics(Scope.CATEGORY, category, of_all)
    of_seller = _statistics(Scope.SELLER, seller, of_category)
    return Statistics(currency=currency, seller=of_seller, category=of_category, overall=of_all)


def _statistics(
    scope: Scope, histogram: PriceHistogram | None, wider: ScopeStatistics | None
) -> ScopeStatistics:
    if histogram is not None and histogram.count:
        q1, q2, q3 = histogram.quartiles()
        mean, count = histogram.mean(), histogram.count
        return ScopeStatistics(q1=q1, q2=q2, q3=q3, mean=mean, count=count, source=scope)
    if wider is not None:
        return wider.model_copy(update={"count": 0})
    return ScopeStatistics(q1=0, q2=0, q3=0, mean=0, count=0, source=Scope.NONE)


def feature_vector(statistics: Statistics) -> npt.NDArray[np.float32]:
    """Return the columns `[16]` that a model reads beside the image features.

    12 natural logarithms of prices in whole currency units (quartiles and mean of seller,
    category and all; NaN where no scope had a sale), 3 of `1 + count`, and the share of the
    three scopes that had no sale of their own. A mean far above the third quartile counts as the
    fence there (`_FENCE`), or one absurd sale would move it, and all suggestions, without limit.

    Raises:
        CurrencyError: the currency is unknown.
    """
    to_whole_units = minor_unit_digits(statistics.currency) * math.log(10)
    scopes = (statistics.seller, statistics.category, statistics.overall)
    row: list[float] = []
    for scope in scopes:
        if scope.source is Scope.NONE:
            row += [math.nan] * 4
            continue
        q1, q2, q3, mean = (
            math.log(price) - to_whole_units for price in (scope.q1, scope.q2, scope.q3, scope.mean)
        )
        row += [q1, q2, q3, min(mean, q3 + max(_LEAST_FENCE, _FENCE * (q3 - q1)))]
    row += [math.log1p(scope.count) for scope in scopes]
    row.append(sum(scope.count == 0 for scope in scopes) / len(scopes))
    return np.array(row, dtype=np.float32)
