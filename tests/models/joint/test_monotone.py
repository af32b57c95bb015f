from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.joint.monotone import isotonic_curve, logistic_curve, probability_curve

Array = np.ndarray[Any, np.dtype[np.float64]]


def sigmoid(scores: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-scores)))


def test_knots_are_the_means_of_the_bins_pooled_where_they_turn_back() -> None:
    # four bins of 25 at 0, 1, 2, 3 with means 1, 5, 3, 8: the middle two become 4
    scores = np.repeat([0.0, 1.0, 2.0, 3.0], 25)
    values = np.repeat([1.0, 5.0, 3.0, 8.0], 25)
    curve = isotonic_curve(scores, values, increasing=True)
    assert curve.at == (0, 1, 2, 3)
    assert curve.value == pytest.approx((1, 4, 4, 8))
    falling = isotonic_curve(scores, -values, increasing=False)
    assert falling.value == pytest.approx((-1, -4, -4, -8))


@pytest.mark.parametrize(("count", "knots"), [(7, 1), (49, 1), (50, 2), (249, 9), (9000, 10)])
def test_a_bin_has_25_items_and_there_are_ten_at_most(count: int, knots: int) -> None:
    scores = np.arange(count, dtype=np.float64)
    assert len(isotonic_curve(scores, scores, increasing=True).at) == knots


@given(
    st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=4, max_size=200),
    st.sampled_from([logistic_curve, probability_curve]),
)
def test_a_probability_rises_with_the_score_and_is_one(
    items: list[tuple[float, bool]], fit: Callable[..., Any]
) -> None:
    scores = np.array([score for score, _ in items])
    hits = np.array([hit for _, hit in items])
    found = fit(scores, hits)(np.linspace(-40, 40, 50))
    assert (np.diff(found) >= -1e-12).all()
    assert (found >= 0).all()
    assert (found <= 1 + 1e-12).all()


def test_few_items_are_fitted_by_a_logistic_function() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=3000) * 2
    hits = rng.uniform(size=3000) < sigmoid(1.5 * scores - 0.5)
    at = np.linspace(-3, 3, 21)
    assert logistic_curve(scores, hits)(at) == pytest.approx(sigmoid(1.5 * at - 0.5), abs=0.05)
    few = probability_curve(scores[:99], hits[:99])
    assert few == logistic_curve(scores[:99], hits[:99])
    assert len(probability_curve(scores[:100], hits[:100]).at) == 4


def test_neither_all_hits_nor_none_makes_it_certain() -> None:
    scores = np.arange(10.0)
    sure = logistic_curve(scores, np.ones(10, np.bool_))([0.0, 9.0])
    assert sure == pytest.approx([11 / 12] * 2, abs=1e-3)
    never = logistic_curve(scores, np.zeros(10, np.bool_))([0.0, 9.0])
    assert never == pytest.approx([1 / 12] * 2, abs=1e-3)


def test_hits_that_fall_with_the_score_give_a_level_probability() -> None:
    scores = np.arange(40.0)
    curve = logistic_curve(scores, scores < 10)
    # Platt's targets 11/12 for 10 hits, 1/32 for 30 misses
    assert curve([0.0, 39.0]) == pytest.approx([(10 * 11 / 12 + 30 / 32) / 40] * 2)


@pytest.mark.parametrize("count", [60, 400])
def test_the_probability_is_near_the_true_one(count: int) -> None:
    rng = np.random.default_rng(1)
    wrong = []
    for _ in range(30):
        scores = rng.normal(size=count)
        hits = rng.uniform(size=count) < 0.2 + 0.7 * sigmoid(2 * scores)
        new = rng.normal(size=1000)
        found = probability_curve(scores, hits)(new)
        wrong.append(np.abs(found - 0.2 - 0.7 * sigmoid(2 * new)).mean())
    # a single level for all would be off by 0.19
    assert np.mean(wrong) < {60: 0.1, 400: 0.05}[count]
