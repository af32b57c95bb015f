import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.joint.ranges import calibrate_ranges


def test_half_width_is_the_error_of_the_conformal_rank() -> None:
    # 9 errors: rank ceil(10 * 0.8) = 8
    errors = np.array([0.9, -0.1, 0.2, -0.8, 0.3, 0.7, -0.6, 0.5, 0.4])
    assert calibrate_ranges(errors, [None] * 9).pooled == 0.8


def test_rank_is_not_lifted_by_rounding() -> None:
    # 15 * 0.8 is 12.000000000000002 in floating point for some spellings of 0.8
    errors = np.arange(1, 15, dtype=np.float64)
    assert calibrate_ranges(errors, [None] * 14, probability=1 - 0.2).pooled == 12


def test_too_few_items_have_no_finite_range() -> None:
    with pytest.raises(ValueError, match="3 items are too few for a range of 80%"):
        calibrate_ranges(np.ones(3), [None] * 3)


def test_groups_are_the_deepest_levels_with_enough_items_and_the_rest_goes_up() -> None:
    # A > B: 5 items of its own; A > C: 3 go up to A, which with 2 of its own has 5;
    # D > E: 2 go up to D, which is too small: pooled
    categories = ["A > B"] * 5 + ["A > C"] * 3 + ["A"] * 2 + ["D > E"] * 2
    errors = np.array([1.0] * 5 + [2.0] * 3 + [2.0] * 2 + [9.0] * 2)
    table = calibrate_ranges(errors, categories, min_group=5)
    assert table.by_category == {"A > B": 1.0, "A": 2.0}
    # 12 items: rank ceil(13 * 0.8) = 11
    assert table.pooled == 9.0
    assert table.half_width("A > B") == 1.0
    assert table.half_width("A > B > F") == 1.0
    assert table.half_width("A > X > Y") == 2.0
    assert table.half_width("D > E") == table.half_width(None) == table.half_width("Z") == 9.0


@given(
    st.lists(st.floats(-3, 3), min_size=9, max_size=60),
    st.sampled_from([0.5, 0.8, 0.9]),
)
def test_the_range_holds_at_least_that_share_of_what_it_was_made_from(
    errors: list[float], probability: float
) -> None:
    width = calibrate_ranges(np.array(errors), [None] * len(errors), probability=probability).pooled
    inside = sum(abs(error) <= width for error in errors)
    assert inside >= math.floor(probability * len(errors))


def test_true_coverage_of_new_items_is_the_nominal_one() -> None:
    rng = np.random.default_rng(5)
    shares = [
        (np.abs(rng.normal(size=500)) <= calibrate_ranges(rng.normal(size=99), [None] * 99).pooled)
        for _ in range(200)
    ]
    # exactly 0.80 is expected (rank 80 of 99); 200 calibrations leave an error of 0.003
    assert np.mean(shares) == pytest.approx(0.80, abs=0.012)
