"""Monotone functions of the score, fitted to what came of listings that were not trained on."""

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from models.joint.bins import equal_count_bins
from models.joint.curve import Curve

Array = npt.NDArray[np.float64]

# Isotonic regression of single items follows the extreme ones: ranges made with it held 73 % at
# 20 items and 78.5 % at 400, where 80 % were asked for. Of bins of 25 they held 82 and 79.7 %.
BIN_SIZE = 25
MAX_BINS = 10
# Mean error of the fitted probability, 480 synthetic samples each: at 40 items logistic 0.089,
# isotonic in bins 0.185; at 80 0.072 and 0.073; at 150 0.061 and 0.055; at 600 0.048 and 0.033.
MIN_FOR_ISOTONIC = 100
_LOGISTIC_KNOTS = 17  # straight lines between them are within 0.01 of the logistic function


def isotonic_curve(scores: Array, values: Array, *, increasing: bool) -> Curve:
    """Return the monotone curve nearest to the mean values of bins of like score.

    Bins hold `BIN_SIZE` items or more and are at most `MAX_BINS`; a knot is at the mean score of
    each. With fewer than two bins of items the curve is level.

    Args:
        scores: `[N]`, finite.
        values: `[N]`.
        increasing: whether the curve may only rise; else only fall.
    """
    of_item = equal_count_bins(scores, min(MAX_BINS, max(1, len(scores) // BIN_SIZE)))
    count = np.bincount(of_item)
    at = np.bincount(of_item, weights=scores) / count
    mean = np.bincount(of_item, weights=values) / count
    fitted = IsotonicRegression(increasing=increasing).fit_transform(at, mean, sample_weight=count)
    return _curve(at, fitted)


def logistic_curve(scores: Array, hits: npt.NDArray[np.bool_]) -> Curve:
    """Return the rising logistic curve nearest to the share of hits: Platt scaling.

    Platt's targets stand in for 0 and 1, so it never claims either (Platt, "Probabilistic outputs
    for support vector machines", 1999). Where hits do not rise with the score the curve is level.

    Args:
        scores: `[N]`, finite.
        hits: `[N]`.
    """
    yes, count = int(hits.sum()), len(hits)
    share = np.where(hits, (yes + 1) / (yes + 2), 1 / (count - yes + 2))
    spread = float(scores.std()) or 1.0
    column = ((scores - scores.mean()) / spread)[:, None]
    # an item of share q is q of a hit and 1 - q of a miss
    model = LogisticRegression(C=1e6).fit(
        np.concatenate([column, column]),
        np.repeat([1, 0], count),
        sample_weight=np.concatenate([share, 1 - share]),
    )
    if model.coef_[0, 0] <= 0:
        return Curve(at=(0.0,), value=(float(share.mean()),))
    at = np.linspace(scores.min(), scores.max(), _LOGISTIC_KNOTS)
    return _curve(at, model.predict_proba(((at - scores.mean()) / spread)[:, None])[:, 1])


def probability_curve(scores: Array, hits: npt.NDArray[np.bool_]) -> Curve:
    """Return the probability of a hit as a rising curve: isotonic, or logistic for few items.

    Args:
        scores: `[N]`, finite.
        hits: `[N]`.
    """
    if len(scores) < MIN_FOR_ISOTONIC:
        return logistic_curve(scores, hits)
    return isotonic_curve(scores, hits.astype(np.float64), increasing=True)


def _curve(at: Array, value: Array) -> Curve:
    knots, first = np.unique(at, return_index=True)
    return Curve(at=tuple(knots.tolist()), value=tuple(value[first].tolist()))
