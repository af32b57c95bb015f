"""How far a plain median lies from the next price, by the window that it is taken over."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.dated.quarters import mean_by_quarter, quarters_of
from benchmarks.year.model import log_prices
from models.gate.answers import Floats
from schemas.money import minor_unit_digits
from schemas.statistics import ScopeStatistics
from workers.examples.example import Example

ALL_TIME = 0


def window_name(window_days: int) -> str:
    """Return what a window is called in the figures."""
    return f"{window_days} days" if window_days else "all time"


def median_errors(by_window: Mapping[int, Sequence[Example]]) -> dict[str, Any]:
    """Return the MALE of the medians over all sales and by quarter, and its ratio to all time.

    A category without a sale in the window has the median of all sales, as in serving. What has
    no statistics in some window is left out of all. The median of a seller is measured on sales
    of those who had sold before, ever; where they had not in the window it is the category's.

    Args:
        by_window: the same sales in the same order, by window in days; 0 is all time.
    """
    all_time = by_window[ALL_TIME]
    known = np.logical_and.reduce(
        [[each.statistics.overall.count > 0 for each in found] for found in by_window.values()]
    )
    kept = np.flatnonzero(known).tolist()
    quarters = quarters_of([all_time[item].listed_at for item in kept])
    sold_before = np.array([all_time[item].statistics.seller.count > 0 for item in kept], np.bool_)
    figures: dict[str, Any] = {}
    for window, examples in by_window.items():
        served = [examples[item] for item in kept]
        error = errors_of(served, [each.statistics.category for each in served])
        of_seller = errors_of(served, [each.statistics.seller for each in served])
        figures[window_name(window)] = {
            "male": _mean(error),
            "by_quarter": mean_by_quarter(error, quarters),
            "category_not_in_window": _mean(
                np.array([each.statistics.category.count == 0 for each in served], np.float64)
            ),
            "sellers_who_sold_before": {
                "male_of_category": _mean(error[sold_before]),
                "male_of_seller": _mean(of_seller[sold_before]),
            }
            if sold_before.any()
            else None,
        }
    reference = figures[window_name(ALL_TIME)]["male"]
    return {
        "sales": len(kept),
        "sales_of_sellers_who_sold_before": int(sold_before.sum()),
        "medians": figures,
        "over_all_time": {
            name: round(found["male"] / reference, 4) for name, found in figures.items()
        },
    }


def errors_of(served: Sequence[Example], scopes: Sequence[ScopeStatistics]) -> Floats:
    """Return |log of median - log of price| `[N]`; the medians are above zero.

    Args:
        served: sales, `[N]`.
        scopes: of each, whose median to take.
    """
    medians = np.array([scope.q2 for scope in scopes], np.float64)
    digits = np.array([minor_unit_digits(each.currency) for each in served])
    found: Floats = np.abs(np.log(medians / 10.0**digits) - log_prices(served))
    return found


def _mean(values: Floats) -> float:
    return round(float(values.mean()), 4)
