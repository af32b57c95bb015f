import math

import numpy as np
import pytest

from models.evaluation.oracle import OracleRow
from models.reproduction.measures import measure_test
from models.training_data import TrainingData


def test_figures_are_those_of_a_count_by_hand(data: TrainingData) -> None:
    rng = np.random.default_rng(0)
    test = data.split.test
    prices = np.nan_to_num(data.log_prices[test].astype(np.float64), nan=3.0)
    prices = prices + rng.normal(scale=0.3, size=len(test))
    scores = rng.normal(size=len(test))
    oracle = {
        row.listing_id: OracleRow(math.log(20.0), 0.1 + number % 7 / 10, number % 11 == 0)
        for number, row in enumerate(data.listings)
    }
    found = measure_test(
        data,
        prices,
        scores,
        threshold=0.2,
        half_width=lambda category, _: 0.25 if category == "Home > Big" else 0.1,
        oracle=oracle,
    )

    accepted, absolute, near, inside, of_all = 0, [], 0, 0, []
    oracle_errors = []
    for place, item in enumerate(test):
        sold = float(data.log_prices[item])
        taken = bool(data.photos.sound[item]) and scores[place] >= 0.2
        accepted += taken
        if math.isnan(sold):
            continue
        error = abs(prices[place] - sold)
        of_all.append(error)
        row = oracle[data.listings[item].listing_id]
        oracle_errors.append((row.faulty, row.noise_sigma, abs(row.log_price - sold)))
        if taken:
            absolute.append(error)
            near += abs(math.exp(prices[place] - sold) - 1) <= 0.2
            inside += error <= (0.25 if data.listings[item].category == "Home > Big" else 0.1)
    assert 0 < len(absolute) < len(of_all)
    assert (found.listings, found.positives) == (len(test), accepted)
    assert found.share == accepted / len(test)
    assert found.male == pytest.approx(sum(absolute) / len(absolute))
    assert found.rmsle == pytest.approx(math.sqrt(sum(e * e for e in absolute) / len(absolute)))
    assert found.within_20 == near / len(absolute)
    assert found.range_coverage == inside / len(absolute)
    assert found.male_all == pytest.approx(sum(of_all) / len(of_all))
    # of those that scatter alike the oracle takes as many as are left, each at their mean
    best, room = 0.0, len(absolute)
    for key in sorted({error[:2] for error in oracle_errors}):
        group = [error[2] for error in oracle_errors if error[:2] == key]
        taken_here = min(room, len(group))
        best += taken_here * sum(group) / len(group)
        room -= taken_here
    assert found.oracle_male == pytest.approx(best / len(absolute))


def test_what_is_not_there_is_none(data: TrainingData) -> None:
    count = len(data.split.test)
    found = measure_test(
        data,
        np.zeros(count),
        np.zeros(count),
        threshold=1.0,
        half_width=None,
        oracle=None,
    )
    assert (found.positives, found.share) == (0, 0.0)
    assert found.male is found.rmsle is found.range_coverage is found.oracle_male is None
    assert found.male_all is not None
