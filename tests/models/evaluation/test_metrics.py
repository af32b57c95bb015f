import math

import pytest

from models.evaluation.metrics import PriceErrors, measure
from models.evaluation.prediction import Prediction
from models.pricer import Estimate
from schemas.suggestion import ReuploadReason


def prediction(price: int | None, *, accepted: bool = True, half: float = 0.5) -> Prediction:
    estimate = None
    if price is not None:
        low, high = round(price * math.exp(-half)), round(price * math.exp(half))
        estimate = Estimate(price, low, high, 0.0, 0.7, accepted)
    return Prediction("l", estimate, None if accepted else ReuploadReason.BLURRED)


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
    found = measure(predictions, sold, nominal=0.8)
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
    assert found.interval.coverage == pytest.approx(2 / 3)
    assert found.interval.median_width == pytest.approx(1.0, abs=0.01)


def test_half_and_double_are_within_x2() -> None:
    found = measure([prediction(500), prediction(2000)], [1000, 1000], nominal=0.8)
    assert found.all.within_x2 == 1.0
    assert found.all.r2 is None  # the sold prices do not vary


def test_nothing_to_measure_gives_no_numbers() -> None:
    nothing = PriceErrors(male=None, rmsle=None, r2=None, within_20=None, within_x2=None)
    for predictions in ([], [prediction(500)]):
        found = measure(predictions, [None] * len(predictions), nominal=0.8)
        assert found.priced == 0
        assert found.all == found.accepted_only == nothing
        assert found.interval.coverage is None
        assert found.interval.median_width is None
    assert found.coverage == 1.0


def test_the_keys_are_those_that_readers_know() -> None:
    assert measure([], [], nominal=0.8).model_dump(mode="json") == {
        "listings": 0,
        "priced": 0,
        "accepted": 0,
        "coverage": 0.0,
        "all": dict.fromkeys(("male", "rmsle", "r2", "within_20", "within_x2")),
        "accepted_only": dict.fromkeys(("male", "rmsle", "r2", "within_20", "within_x2")),
        "interval": {"nominal": 0.8, "coverage": None, "median_width": None},
    }
