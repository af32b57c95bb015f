import math

import numpy as np
import pytest

from models.evaluation.metrics import Metrics, PriceErrors, measure
from models.evaluation.oracle import OracleRow
from models.evaluation.prediction import Prediction
from models.pricer import Estimate
from schemas.suggestion import ReuploadReason


def prediction(
    price: int | None,
    *,
    accepted: bool = True,
    half: float = 0.5,
    name: str = "l",
    score: float = 0.0,
    confidence: float = 0.7,
    sound: bool = True,
) -> Prediction:
    estimate = None
    if price is not None:
        low, high = round(price * math.exp(-half)), round(price * math.exp(half))
        estimate = Estimate(price, low, high, score, confidence, accepted)
    return Prediction(name, estimate, None if accepted else ReuploadReason.BLURRED, sound)


def measured(
    predictions: list[Prediction],
    sold: list[int | None],
    categories: list[str | None] | None = None,
    oracle: dict[str, OracleRow] | None = None,
) -> Metrics:
    return measure(
        predictions,
        sold,
        nominal=0.8,
        epsilon=0.5,
        categories=categories or [None] * len(predictions),
        oracle=oracle,
    )


def test_measures_by_hand() -> None:
    # accepted: 1000 for 1000, 1200 for 1000, 500 for 2000 (outside its range); refused: 900 for
    # 300; then one accepted without a price, and one refused of which nothing could be read
    predictions = [
        prediction(1000),
        prediction(1200),
        prediction(500),
        prediction(900, accepted=False),
        prediction(800),
        prediction(None, accepted=False),
    ]
    sold = [1000, 1000, 2000, 300, None, 700]
    found = measured(predictions, sold)
    assert (found.listings, found.priced, found.accepted) == (6, 4, 4)
    assert found.coverage == pytest.approx(4 / 6)

    errors = [0.0, math.log(1.2), math.log(4), math.log(3)]
    logs = [math.log(price) for price in (1000, 1000, 2000, 300)]
    mean = sum(logs) / 4
    spread = sum((value - mean) ** 2 for value in logs)
    assert found.all.male == pytest.approx(sum(errors) / 4)
    assert found.all.rmsle == pytest.approx(math.sqrt(sum(e**2 for e in errors) / 4))
    assert found.all.r2 == pytest.approx(1 - sum(e**2 for e in errors) / spread)
    assert found.all.within_20 == 0.5  # 20 % exactly is within
    assert found.all.within_x2 == 0.5
    assert found.accepted_only.male == pytest.approx(sum(errors[:3]) / 3)
    assert found.accepted_only.within_20 == pytest.approx(2 / 3)
    assert found.interval.nominal == 0.8
    assert found.interval.count == 3
    assert found.interval.coverage == pytest.approx(2 / 3)
    assert found.interval.median_width == pytest.approx(1.0, abs=0.01)


def test_half_and_double_are_within_x2() -> None:
    found = measured([prediction(500), prediction(2000)], [1000, 1000])
    assert found.all.within_x2 == 1.0
    assert found.all.r2 is None  # the sold prices do not vary


def test_the_curve_takes_listings_by_score_and_those_without_a_sound_photo_last() -> None:
    # errors: ln 2 without a sound photo, for all its score; 0 at a score of 3; ln 4 at 1
    predictions = [
        prediction(2000, score=9, sound=False, accepted=False),
        prediction(1000, score=3),
        prediction(4000, score=1, accepted=False),
    ]
    found = measured(predictions, [1000] * 3).risk_coverage
    two, four = math.log(2), math.log(4)
    risk, ideal = [0, four / 2, (two + four) / 3], [0, two / 2, (two + four) / 3]
    assert found.male_area == pytest.approx(np.mean(risk))
    assert found.male_excess == pytest.approx(np.mean(risk) - np.mean(ideal))
    squared = [0, four**2 / 2, (two**2 + four**2) / 3]
    best = [0, two**2 / 2, (two**2 + four**2) / 3]
    assert found.squared_area == pytest.approx(np.mean(squared))
    assert found.squared_excess == pytest.approx(np.mean(squared) - np.mean(best))


def test_confidence_is_held_to_the_factor_over_listings_with_a_sound_photo() -> None:
    # a factor of 1.6 is within exp(0.5), one of 1.7 is not
    predictions = [
        *[prediction(1600, confidence=0.9)] * 3,
        prediction(1700, confidence=0.9),
        *[prediction(1700, confidence=0.3, accepted=False)] * 4,
        prediction(1000, confidence=0.3, accepted=False, sound=False),
    ]
    found = measured(predictions, [1000] * 9).confidence
    assert found.epsilon == 0.5
    bins = [(b.confidence, b.frequency, b.count) for b in found.bins]
    assert bins == [pytest.approx((0.3, 0, 4)), pytest.approx((0.9, 0.75, 4))]
    assert found.error == pytest.approx((0.3 + 0.15) / 2)


def test_ranges_are_counted_by_the_widest_level_of_accepted_listings() -> None:
    # half 0.5 holds 1.6 times the price, not 1.7 times it
    predictions = [
        *[prediction(1000)] * 4,
        prediction(1000, accepted=False),
    ]
    categories = ["A > B", "A > C", "D", None, "A"]
    found = measured(predictions, [1600, 1700, 1000, 1000, 1000], categories).interval
    assert found.coverage == 0.75
    counts = {level: (share.count, share.coverage) for level, share in found.by_category.items()}
    assert counts == {"A": (2, 0.5), "D": (1, 1.0)}
    # Wilson: (p + z^2/2n -+ z sqrt(p q / n + z^2/4n^2)) / (1 + z^2/n)
    z, p, n = 1.959964, 0.75, 4
    middle, step = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    assert found.coverage_low == pytest.approx((middle - step) / (1 + z**2 / n), abs=1e-5)
    assert found.coverage_high == pytest.approx((middle + step) / (1 + z**2 / n), abs=1e-5)


def test_regret_to_the_oracle_on_our_listings_and_on_those_it_would_accept() -> None:
    # ours: errors ln 2 and 0 accepted, ln 3 refused; the oracle's prices 10, 20 and 11 for 10
    predictions = [
        prediction(2000, name="a"),
        prediction(1000, name="b"),
        prediction(3000, name="c", accepted=False),
        prediction(1000, name="d"),  # not known to the oracle
        prediction(1000, name="e", accepted=False),
    ]
    oracle = {
        "a": OracleRow(math.log(10), 0.4, faulty=False),
        "b": OracleRow(math.log(20), 0.3, faulty=False),
        "c": OracleRow(math.log(11), 0.2, faulty=False),
        "e": OracleRow(math.log(10), 0.1, faulty=True),
    }
    found = measured(predictions, [1000] * 5, oracle=oracle).oracle
    assert found is not None
    assert found.accepted == 2
    assert found.male == pytest.approx(math.log(2) / 2)
    assert found.male_same == pytest.approx(math.log(2) / 2)
    # the two of least noise and without a fault: c and b
    assert found.male_best == pytest.approx((math.log(1.1) + math.log(2)) / 2)
    assert found.regret_same == pytest.approx(0)
    assert found.regret_best == pytest.approx(-math.log(1.1) / 2)
    refused = [prediction(1000, name="a", accepted=False)]
    assert measured(refused, [1000], oracle=oracle).oracle is None


def test_nothing_to_measure_gives_no_numbers() -> None:
    nothing = PriceErrors(male=None, rmsle=None, r2=None, within_20=None, within_x2=None)
    for predictions in ([], [prediction(500)]):
        found = measured(predictions, [None] * len(predictions), oracle={})
        assert found.priced == 0
        assert found.all == found.accepted_only == nothing
        assert found.interval.coverage is None
        assert found.interval.median_width is None
        assert found.confidence.error is None
        assert found.risk_coverage.male_area is None
        assert found.oracle is None
    assert found.coverage == 1.0


def test_the_keys_are_those_that_readers_know() -> None:
    areas = ("male_area", "male_excess", "squared_area", "squared_excess")
    assert measured([], []).model_dump(mode="json") == {
        "listings": 0,
        "priced": 0,
        "accepted": 0,
        "coverage": 0.0,
        "all": dict.fromkeys(("male", "rmsle", "r2", "within_20", "within_x2")),
        "accepted_only": dict.fromkeys(("male", "rmsle", "r2", "within_20", "within_x2")),
        "interval": {
            "nominal": 0.8,
            "count": 0,
            "coverage": None,
            "coverage_low": None,
            "coverage_high": None,
            "median_width": None,
            "by_category": {},
        },
        "risk_coverage": dict.fromkeys(areas),
        "confidence": {"epsilon": 0.5, "error": None, "bins": []},
        "oracle": None,
    }
