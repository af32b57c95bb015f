import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.joint.bins import equal_count_bins
from models.joint.confidence import Confidence
from models.joint.curve import Curve


def test_straight_between_knots_and_level_outside() -> None:
    curve = Curve(at=(-1.0, 1.0, 2.0), value=(0.2, 0.4, 1.0))
    scores = [-math.inf, -5.0, -1.0, 0.0, 1.5, 2.0, math.inf]
    assert curve(scores) == pytest.approx([0.2, 0.2, 0.2, 0.3, 0.7, 1.0, 1.0])
    assert Confidence(epsilon=0.5, probability=curve)(0.0) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("at", "value"),
    [((), ()), ((1.0,), (1.0, 2.0)), ((1.0, 1.0), (1.0, 2.0)), ((0.0,), (math.inf,))],
)
def test_what_is_no_curve(at: tuple[float, ...], value: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        Curve(at=at, value=value)


@given(st.floats(-10, 10))
def test_a_confidence_is_a_probability_even_where_knots_are_off_by_rounding(score: float) -> None:
    curve = Curve(at=(-1.0, 1.0), value=(-1e-16, 1 + 1e-15))
    assert 0 <= Confidence(epsilon=0.5, probability=curve)(score) <= 1


def test_bins_hold_as_many_each_and_like_values_share_one() -> None:
    assert equal_count_bins(np.array([5.0, 1, 4, 2, 3, 6]), 3).tolist() == [2, 0, 1, 0, 1, 2]
    assert equal_count_bins(np.array([7.0, 7, 7, 7, 8, 9]), 3).tolist() == [0, 0, 0, 0, 1, 1]
    assert equal_count_bins(np.ones(4), 3).tolist() == [0] * 4


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=40), st.integers(1, 10))
def test_bins_follow_the_values_and_none_is_empty(values: list[float], bins: int) -> None:
    of_item = equal_count_bins(np.array(values), bins)
    assert sorted(set(of_item.tolist())) == list(range(of_item.max() + 1))
    assert of_item.max() < bins
    order = np.argsort(values, kind="stable")
    assert (np.diff(of_item[order]) >= 0).all()
