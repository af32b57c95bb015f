import math
from typing import Any

import numpy as np
import pytest

from models.errors import TrainingError
from models.joint.calibration import Calibration, calibrate

Array = np.ndarray[Any, np.dtype[np.float64]]


def spread(scores: Array) -> Array:
    """The true deviation of an error: 1.05 for the least sure, 0.15 for the surest."""
    return np.asarray(0.15 + 0.9 / (1 + np.exp(1.5 * scores)))


def market(rng: np.random.Generator, count: int) -> tuple[Array, Array, Array]:
    """Suggested price, score and sold price; prices in natural log."""
    scores = rng.normal(size=count)
    prices = rng.normal(4, 1, count)
    return prices, scores, prices + rng.normal(size=count) * spread(scores)


def calibrated(
    prices: Array, scores: Array, sold: Array, *, delta: float | None = 0.5
) -> Calibration:
    return calibrate(prices, scores, sold, [None] * len(sold), delta=delta, epsilon=0.5)


def test_the_share_is_of_all_listings_also_of_those_refused_and_those_without_a_price() -> None:
    scores = np.arange(100.0)
    prices = np.zeros(100)
    sold = np.where(np.arange(100) % 2 == 0, 0.1, math.nan)
    assert calibrated(prices, scores, sold).threshold == 50  # 50 of 100 reach it
    # the surest 30 are refused for their photos: 50 of 100 are to be found among the others
    scores[70:] = -math.inf
    assert calibrated(prices, scores, sold).threshold == 20
    assert calibrated(prices, scores, sold, delta=None).threshold == 0


def test_ranges_are_of_the_accepted_listings_alone() -> None:
    # refused and less sure: errors of 3; accepted: 10 errors of 0.1 to 1.0, rank ceil(11 * .8) = 9
    scores = np.concatenate([np.full(10, -1.0), np.full(10, 1.0)])
    sold = np.concatenate([np.full(10, 3.0), np.arange(1, 11) / 10])
    found = calibrated(np.zeros(20), scores, sold).ranges
    assert found.half_width(None, 1.0) == pytest.approx(0.9)


def test_each_category_has_a_width_of_its_own() -> None:
    scores = np.ones(100)
    sold = np.concatenate([np.full(50, 0.2), np.full(50, 0.8)])
    categories = ["A > easy"] * 50 + ["A > hard"] * 50
    found = calibrate(np.zeros(100), scores, sold, categories, delta=None, epsilon=0.5).ranges
    assert found.half_width("A > easy", 1.0) == pytest.approx(0.2)
    assert found.half_width("A > hard", 1.0) == pytest.approx(0.8)


def test_a_listing_refused_for_its_photos_or_without_a_price_teaches_no_range_nor_confidence() -> (
    None
):
    rng = np.random.default_rng(4)
    prices, scores, sold = market(rng, 300)
    whole = calibrated(prices, scores, sold, delta=None)
    more_scores = np.concatenate([scores, np.full(40, -math.inf), np.full(40, 3.0)])
    more_sold = np.concatenate([sold, np.full(40, 99.0), np.full(40, math.nan)])
    more_prices = np.concatenate([prices, np.zeros(80)])
    assert calibrated(more_prices, more_scores, more_sold, delta=None) == whole


@pytest.mark.parametrize("count", [60, 200, 600])
def test_ranges_of_new_accepted_listings_hold_what_they_say_and_are_narrower_for_the_surer(
    count: int,
) -> None:
    rng = np.random.default_rng(count)
    held, surer_held, widths = [], [], []
    for _ in range(150):
        found = calibrated(*market(rng, count))
        prices, scores, sold = market(rng, 2000)
        accepted = scores >= found.threshold
        half = np.array([found.ranges.half_width(None, s) for s in scores[accepted]])
        inside = np.abs(prices - sold)[accepted] <= half
        surer = scores[accepted] > np.median(scores[accepted])
        held.append(inside.mean())
        surer_held.append(inside[surer].mean())
        widths.append((half[surer].mean(), half[~surer].mean()))
    # 150 calibrations of `count / 2` items leave an error of 0.006 at 30 items
    assert 0.79 < np.mean(held) < 0.83
    surer_width, other_width = np.mean(widths, axis=0)
    assert surer_width < other_width
    if count >= 200:
        # one width for all holds 0.92 of the surer half and 0.69 of the other
        assert surer_width < 0.75 * other_width
        assert np.mean(surer_held) < 0.86


def test_confidence_is_the_share_within_the_factor() -> None:
    rng = np.random.default_rng(2)
    found = calibrated(*market(rng, 3000)).confidence
    prices, scores, sold = market(rng, 50_000)
    hit = np.abs(prices - sold) <= 0.5
    for low, high in ((-3, -1), (-1, 0), (0, 1), (1, 3)):
        within = (scores > low) & (scores <= high)
        claimed = np.mean([found(score) for score in scores[within]])
        assert claimed == pytest.approx(hit[within].mean(), abs=0.04)
    assert found.epsilon == 0.5
    assert found(2.0) > found(0.0) > found(-2.0)


def test_errors_of_nothing_still_give_a_range() -> None:
    found = calibrated(np.ones(50), np.arange(50.0), np.ones(50))
    assert found.ranges.half_width(None, 40.0) == 0
    assert min(found.ranges.spread.value) > 0


@pytest.mark.parametrize(
    ("sold", "message"),
    [
        ([math.nan] * 8, "no listing of the validation part has a sound photo and a price"),
        ([math.nan] * 4 + [1.0] * 4, "of the validation part 3 listings are accepted: 3 items"),
    ],
)
def test_too_little_to_calibrate_with(sold: list[float], message: str) -> None:
    scores = np.array([0, 0, 0, 0, 0, 1.0, 2.0, 3.0])
    with pytest.raises(TrainingError, match=message):
        calibrated(np.zeros(8), scores, np.array(sold), delta=0.375)
