"""Threshold, confidence and ranges: found on listings that the networks were not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import TrainingError
from models.joint.confidence import Confidence
from models.joint.monotone import isotonic_curve, probability_curve
from models.joint.ranges import RangeTable, calibrate_ranges
from models.joint.threshold import quantile_threshold

Array = npt.NDArray[np.float64]

# A curve of usual errors must not reach 0, or the errors there become endless in its units.
MIN_SPREAD_SHARE = 0.1  # of the mean error
MIN_SPREAD = 1e-3  # in natural log of price: the whole minor units of cheap things are coarser


@dataclass(frozen=True, slots=True)
class Calibration:
    """Where the gate opens (the score s of the classification network), and what scores mean."""

    threshold: float
    confidence: Confidence
    ranges: RangeTable


def calibrate(
    prices: Array,
    scores: Array,
    sold: Array,
    categories: Sequence[str | None],
    *,
    delta: float | None,
    epsilon: float,
) -> Calibration:
    """Find threshold, confidence and ranges on N listings that were not trained on.

    The threshold is found on all of them. Confidence and the usual size of an error at a score
    are of those whose sold price is known, accepted or not; the ranges are of the accepted among
    them.

    Args:
        prices: `[N]` natural log of the suggested price.
        scores: `[N]` of the classification network; minus infinity where the listing is refused
            beforehand, for want of a sound photo.
        sold: `[N]` natural log of the sold price; NaN where it is not known or not rational.
        categories: `[N]` category paths.
        delta: share of the N to accept; None opens the gate at f_cls = 0.5.
        epsilon: largest log error of which the confidence tells the probability.

    Raises:
        TrainingError: too few accepted listings have a sold price.
    """
    threshold = 0.0 if delta is None else quantile_threshold(scores, delta)
    known = np.isfinite(sold) & np.isfinite(scores)
    errors = np.abs(prices - sold)
    accepted = known & (scores >= threshold)
    if not known.any():
        raise TrainingError("no listing of the validation part has a sound photo and a price")
    usual = isotonic_curve(scores[known], errors[known], increasing=False)
    floor = max(MIN_SPREAD, MIN_SPREAD_SHARE * float(errors[known].mean()))
    spread = usual.model_copy(update={"value": tuple(max(floor, v) for v in usual.value)})
    try:
        ranges = calibrate_ranges(
            errors[accepted],
            scores[accepted],
            [path for path, taken in zip(categories, accepted, strict=True) if taken],
            spread=spread,
        )
    except ValueError as error:
        raise TrainingError(
            f"of the validation part {int(accepted.sum())} listings are accepted: {error}"
        ) from None
    probability = probability_curve(scores[known], errors[known] <= epsilon)
    return Calibration(threshold, Confidence(epsilon=epsilon, probability=probability), ranges)
