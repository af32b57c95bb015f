"""What is gained by refusing: the mean error of the accepted, for every share that may be accepted.

Source: Geifman and El-Yaniv, "Selective classification for deep neural networks" (2017), for the
curve; Geifman, Uziel and El-Yaniv, "Bias-reduced uncertainty estimation" (2019), for its areas.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RiskCoverage:
    """The risk-coverage curve of N items, the surest accepted first.

    Attributes:
        coverage: `[N]` shares accepted, 1/N to 1.
        risk: `[N]` mean error of that share; the last one is the mean error of all items.
        area: mean of `risk`, the area under the curve (AURC). In the unit of the errors: with |e|
            it is a MALE, with e^2 a mean squared log error.
        excess: `area` less that of the order by the errors themselves, which no score can beat
            (E-AURC); 0 is perfect.
    """

    coverage: Array
    risk: Array
    area: float
    excess: float


def risk_coverage(errors: npt.ArrayLike, scores: npt.ArrayLike) -> RiskCoverage:
    """Return the risk-coverage curve of errors `[N]` accepted in the order of scores `[N]`.

    Args:
        errors: none negative: |e| or e^2 with e = ln(suggested / sold).
        scores: the highest is accepted first; minus infinity is allowed, NaN is not. Items of one
            score are accepted in random order: each counts with the mean error of them all.

    Raises:
        ValueError: there is no item, the lengths differ, a score is NaN or an error negative or
            not finite.
    """
    loss = np.asarray(errors, dtype=np.float64)
    score = np.asarray(scores, dtype=np.float64)
    if not len(loss) or loss.shape != score.shape:
        raise ValueError(f"{loss.shape} errors and {score.shape} scores make no curve")
    if np.isnan(score).any() or not (np.isfinite(loss) & (loss >= 0)).all():
        raise ValueError("scores must not be NaN, errors finite and not below 0")
    _, group = np.unique(-score, return_inverse=True)
    mean_of_group = np.bincount(group, weights=loss) / np.bincount(group)
    risk = _running_mean(mean_of_group[np.sort(group)])
    area = float(risk.mean())
    ideal = float(_running_mean(np.sort(loss)).mean())
    return RiskCoverage(
        coverage=np.arange(1, len(loss) + 1) / len(loss),
        risk=risk,
        area=area,
        excess=area - ideal,
    )


def _running_mean(values: Array) -> Array:
    return np.cumsum(values) / np.arange(1, len(values) + 1)
