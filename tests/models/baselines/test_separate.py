from collections.abc import Callable

import numpy as np

from models.baselines.separate import SeparateTraining
from models.joint.trainer import Plan
from models.training_data import TrainingData


def test_residuals_of_items_known_by_heart_say_nothing_of_the_noise(
    make_market: Callable[..., TrainingData],
) -> None:
    """Few items of many columns, learnt by heart: only cross-fitted residuals show the noise."""
    data = make_market(count=500, width=40)
    plan = Plan(epochs=(40, 0, 0, 0), batch_size=64, members=3)
    items = np.concatenate([data.split.validation, data.split.test])
    noisy = np.array(
        [(data.listings[item].category or "Quiet").startswith("Noisy") for item in items]
    )
    ahead = {}
    for cross_fitted in (False, True):
        baseline = SeparateTraining(cross_fitted=cross_fitted)
        baseline.fit(data, delta=0.5, seed=0, plan=plan, progress=lambda *_: None)
        _, scores = baseline.predict(items)
        ahead[cross_fitted] = (scores[~noisy][:, None] > scores[noisy]).mean()
    assert ahead[True] > 0.65
    assert ahead[True] > ahead[False] + 0.1
