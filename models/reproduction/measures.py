"""What a way of pricing and refusing came to on the test part."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from models.evaluation.metrics import price_errors
from models.evaluation.oracle import OracleRow, regret_to
from models.evaluation.risk_coverage import risk_coverage
from models.training_data import TrainingData

Array = npt.NDArray[np.float64]
HalfWidth = Callable[[str | None, float], float]
"""Gives half the width of a range, in natural log, for a category path and a score."""


class Measures(BaseModel):
    """The figures of one training; None where there is nothing to measure.

    Measured by price are listings with a sound photo and a rational price.

    Attributes:
        listings: of the test part, of any photo and price.
        positives: how many of them are answered with a price.
        share: `positives` / `listings`.
        male: mean |ln(suggested / sold)| of the positives (Eq. 5).
        rmsle: root of the mean square of the same (Eq. 6).
        within_20: share of the positives whose suggested price is within 20 % of the sold one.
        range_coverage: share of the positives whose range holds the sold price.
        aurc: area under the risk-coverage curve of all measured, the risk being |ln(...)|.
        male_all: `male` of all measured, positive or not.
        r2_all: share of the variance of ln(sold) that is explained, of all measured.
        oracle_male: `male` of the oracle of a simulated market, which answers as many of the
            same listings, those that scatter least.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    listings: int
    positives: int
    share: float
    male: float | None
    rmsle: float | None
    within_20: float | None
    range_coverage: float | None
    aurc: float | None
    male_all: float | None
    r2_all: float | None
    oracle_male: float | None


def measure_test(
    data: TrainingData,
    prices: Array,
    scores: Array,
    *,
    threshold: float,
    half_width: HalfWidth | None,
    oracle: Mapping[str, OracleRow] | None,
) -> Measures:
    """Measure answers to the test part.

    Args:
        data: the parts of a dataset.
        prices: `[N]` natural log of the suggested price of each listing of the test part.
        scores: `[N]`; accepted is what has a sound photo and reaches `threshold`.
        threshold: where the gate opens.
        half_width: of the ranges, where there are any.
        oracle: the truth of each listing by its id, where it is known.
    """
    test = data.split.test
    accepted = data.photos.sound[test] & (scores >= threshold)
    sold = data.log_prices[test].astype(np.float64)
    measured = np.isfinite(sold)
    both = accepted & measured
    errors = np.abs(prices - sold)
    of_accepted = price_errors(np.exp(prices[both]), np.exp(sold[both]))
    of_all = price_errors(np.exp(prices[measured]), np.exp(sold[measured]))
    inside = [
        errors[item] <= half_width(data.listings[test[item]].category, float(scores[item]))
        for item in np.flatnonzero(both)
        if half_width
    ]
    best = oracle and regret_to(
        oracle,
        [data.listings[item].listing_id for item in test[measured]],
        prices[measured],
        sold[measured],
        accepted[measured],
    )
    return Measures(
        listings=len(test),
        positives=int(accepted.sum()),
        share=float(accepted.mean()) if len(test) else 0.0,
        male=of_accepted.male,
        rmsle=of_accepted.rmsle,
        within_20=of_accepted.within_20,
        range_coverage=float(np.mean(inside)) if inside else None,
        aurc=risk_coverage(errors[measured], scores[measured]).area if measured.any() else None,
        male_all=of_all.male,
        r2_all=of_all.r2,
        oracle_male=best.male_best if best else None,
    )
