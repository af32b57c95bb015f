"""The joint networks and the baselines in one table: one split, one threshold rule, one measure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.baselines.boosting import boosting
from models.baselines.joint import Joint
from models.baselines.protocol import Baseline
from models.baselines.quantiles import QuantileWidth
from models.baselines.ridge import ridge, statistics_only
from models.baselines.selective_net import SelectiveNet
from models.baselines.separate import SeparateTraining
from models.evaluation.metrics import price_errors
from models.evaluation.risk_coverage import risk_coverage
from models.joint.threshold import quantile_threshold
from models.joint.trainer import Plan, Progress
from models.training_data import TrainingData


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one way of pricing came to on the test part.

    Measured are listings with a sound photo and a rational price; a figure is None where there
    are too few of them.

    Attributes:
        name: of the baseline.
        listings: of the test part, of any photo and price.
        accepted: how many of them are answered with a price.
        coverage: `accepted` / `listings`.
        male: mean |ln(suggested / sold)| of the accepted (Eq. 5).
        rmsle: root of the mean square of the same (Eq. 6).
        male_all: `male` of all measured listings, accepted or not.
        r2_all: share of the variance of their ln(sold) that is explained.
        aurc: area under their risk-coverage curve, the risk being |ln(suggested / sold)|: the
            mean of `male` over all shares that a threshold could accept. Lower is better.
    """

    name: str
    listings: int
    accepted: int
    coverage: float
    male: float | None
    rmsle: float | None
    male_all: float | None
    r2_all: float | None
    aurc: float | None


def all_baselines() -> list[Baseline]:
    """Return the joint networks and every baseline, unfitted, in the order of the table."""
    return [
        Joint(),
        SeparateTraining(cross_fitted=False),
        SeparateTraining(cross_fitted=True),
        SelectiveNet(),
        QuantileWidth(),
        boosting(),
        ridge(),
        statistics_only(),
    ]


def compare(
    data: TrainingData,
    baselines: Sequence[Baseline],
    *,
    delta: float,
    seed: int,
    plan: Plan,
    progress: Progress,
) -> list[Row]:
    """Fit each baseline and measure it on the test part.

    The threshold of each is the (1 - delta) quantile of its own score on the validation part,
    where listings without a sound photo count as refused; that of a bundle is found likewise.

    Args:
        data: the parts of a dataset.
        baselines: unfitted or not; they are fitted anew.
        delta: share of listings to be answered, in (0, 1].
        seed: of every training.
        plan: of the networks.
        progress: told by each baseline under its own name.

    Raises:
        TrainingError: a training came to no good end.
    """
    rows = []
    for baseline in baselines:
        baseline.fit(data, delta=delta, seed=seed, plan=plan, progress=progress)
        rows.append(_measure(baseline, data, delta))
    return rows


def _measure(baseline: Baseline, data: TrainingData, delta: float) -> Row:
    validation, test = data.split.validation, data.split.test
    _, scores = baseline.predict(validation)
    threshold = quantile_threshold(np.where(data.photos.sound[validation], scores, -np.inf), delta)

    prices, scores = baseline.predict(test)
    accepted = data.photos.sound[test] & (scores >= threshold)
    sold = data.log_prices[test].astype(np.float64)
    measured = np.isfinite(sold)
    errors = np.abs(prices - sold)
    of_all = price_errors(np.exp(prices[measured]), np.exp(sold[measured]))
    both = accepted & measured
    of_accepted = price_errors(np.exp(prices[both]), np.exp(sold[both]))
    return Row(
        name=baseline.name,
        listings=len(test),
        accepted=int(accepted.sum()),
        coverage=float(accepted.mean()) if len(test) else 0.0,
        male=of_accepted.male,
        rmsle=of_accepted.rmsle,
        male_all=of_all.male,
        r2_all=of_all.r2,
        aurc=risk_coverage(errors[measured], scores[measured]).area if measured.any() else None,
    )
