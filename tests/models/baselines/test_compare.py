import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from models.baselines.compare import all_baselines, compare
from models.baselines.protocol import Predictions
from models.dataset.splits import Indices
from models.joint.trainer import Plan, Progress
from models.training_data import TrainingData


class Known:
    """Says what it is given."""

    name = "known"

    def __init__(self, prices: list[float], scores: list[float]) -> None:
        self.answers = np.array(prices), np.array(scores)
        self.asked: tuple[float, int] | None = None

    def fit(
        self, data: TrainingData, *, delta: float, seed: int, plan: Plan, progress: Progress
    ) -> None:
        self.asked = delta, seed
        progress(self.name, 1, 1)

    def predict(self, items: Indices) -> Predictions:
        prices, scores = self.answers
        return prices[items], scores[items]


def test_a_row_by_hand(market: TrainingData, short: Plan) -> None:
    # four listings to set the threshold by, five to measure; photos of 3 and 8 are not sound
    sound = np.ones(9, np.bool_)
    sound[[3, 8]] = False
    nan = math.nan
    data = replace(
        market,
        split=replace(
            market.split,
            train=np.array([], np.int64),
            validation=np.arange(4),
            test=np.arange(4, 9),
        ),
        photos=replace(market.photos, sound=sound),
        log_prices=np.array([1, 1, 1, nan, 2.0, 3.0, 4.0, nan, nan], np.float32),
    )
    #              validation       | test; 7 has no rational price
    known = Known(
        [0, 0, 0, 0, 2.5, 3.0, 2.0, 9.0, 9.0],
        [0.9, 0.6, 0.1, 5.0, 0.7, 0.6, 0.5, 0.8, 0.9],
    )
    told: list[tuple[str, int, int]] = []
    (row,) = compare(
        data, [known], delta=0.5, seed=7, plan=short, progress=lambda *step: told.append(step)
    )
    # half of the four is two, and the unsound one is none of them: at 0.6
    assert known.asked == (0.5, 7)
    assert told == [("known", 1, 1)]
    assert (row.name, row.listings, row.accepted) == ("known", 5, 3)
    assert row.coverage == 3 / 5
    assert row.male == pytest.approx((0.5 + 0) / 2)
    assert row.rmsle == pytest.approx(math.sqrt(0.25 / 2))
    assert row.male_all == pytest.approx(2.5 / 3)
    assert row.r2_all == pytest.approx(1 - 4.25 / 2)
    assert row.aurc == pytest.approx((0.5 + 0.25 + 2.5 / 3) / 3)


def test_without_a_price_to_measure_by_there_are_no_figures(
    market: TrainingData, short: Plan
) -> None:
    data = replace(market, log_prices=np.full_like(market.log_prices, np.nan))
    everything = [1.0] * len(market.listings)
    (row,) = compare(
        data,
        [Known(everything, everything)],
        delta=0.5,
        seed=0,
        plan=short,
        progress=lambda *_: None,
    )
    assert row.accepted == market.photos.sound[market.split.test].sum()  # all score alike
    assert (row.male, row.rmsle, row.male_all, row.r2_all, row.aurc) == (None,) * 5


def test_the_smallest_dataset_has_a_row_for_each(
    make_market: Callable[..., TrainingData], short: Plan
) -> None:
    data = make_market(count=100)
    rows = compare(data, all_baselines(), delta=0.5, seed=0, plan=short, progress=lambda *_: None)
    assert [row.name for row in rows] == [baseline.name for baseline in all_baselines()]
    for row in rows:
        assert row.listings == len(data.split.test)
        assert row.male_all is not None
        assert math.isfinite(row.male_all)
