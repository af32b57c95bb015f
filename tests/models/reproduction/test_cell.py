import math
from dataclasses import replace

import numpy as np
import pytest

from models.baselines.protocol import Predictions
from models.dataset.splits import Indices
from models.joint.trainer import Plan, Progress
from models.reproduction.cell import Conditions, run_cell
from models.reproduction.grid import Cell, Setting
from models.training_data import TrainingData


class Known:
    """A baseline that says what it is given."""

    name = "known"

    def __init__(self, prices: list[float], scores: list[float]) -> None:
        self.answers = np.array(prices), np.array(scores)
        self.asked: tuple[float, int, Plan] | None = None

    def fit(
        self, data: TrainingData, *, delta: float, seed: int, plan: Plan, progress: Progress
    ) -> None:
        self.asked = delta, seed, plan
        progress(self.name, 1, 1)

    def predict(self, items: Indices) -> Predictions:
        prices, scores = self.answers
        return prices[items], scores[items]


def test_a_baseline_is_gated_by_its_own_scores_of_the_validation_part(
    data: TrainingData, short: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    # four listings to set the threshold by, five to measure; photos of 3 and 8 are not sound
    sound = np.ones(9, np.bool_)
    sound[[3, 8]] = False
    nan = math.nan
    nine = replace(
        data,
        split=replace(
            data.split,
            train=np.array([], np.int64),
            validation=np.arange(4),
            test=np.arange(4, 9),
        ),
        photos=replace(data.photos, sound=sound),
        log_prices=np.array([1, 1, 1, nan, 2.0, 3.0, 4.0, nan, nan], np.float32),
    )
    #              validation       | test; 7 has no rational price
    known = Known(
        [0, 0, 0, 0, 2.5, 3.0, 2.0, 9.0, 9.0],
        [0.9, 0.6, 0.1, 5.0, 0.7, 0.6, 0.5, 0.8, 0.9],
    )
    monkeypatch.setattr("models.reproduction.cell.all_baselines", lambda: [known])
    told: list[tuple[int, int]] = []
    cell = Cell(Setting(method="known", parameter=0.5, kernel=False), 7)
    conditions = Conditions(plan=short, network_plan=replace(short, members=3), paper_gate=False)
    found = run_cell(cell, nine, None, conditions, lambda *step: told.append(step)).measures
    # half of the four is two, and the unsound one is none of them: at 0.6
    assert known.asked == (0.5, 7, conditions.network_plan)
    assert told == [(1, 1)]
    assert found is not None
    assert (found.listings, found.positives, found.share) == (5, 3, 3 / 5)
    assert found.male == pytest.approx((0.5 + 0) / 2)
    assert found.rmsle == pytest.approx(math.sqrt(0.25 / 2))
    assert found.male_all == pytest.approx(2.5 / 3)
    assert found.r2_all == pytest.approx(1 - 4.25 / 2)
    assert found.aurc == pytest.approx((0.5 + 0.25 + 2.5 / 3) / 3)
