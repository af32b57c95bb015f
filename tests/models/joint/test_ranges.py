import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.joint.curve import Curve
from models.joint.ranges import RangeTable, calibrate_ranges

LEVEL = Curve(at=(0.0,), value=(1.0,))
# An error is of 1 up to a score of 0, of 0.25 from 2 on.
FALLING = Curve(at=(0.0, 2.0), value=(1.0, 0.25))


def level(errors: np.ndarray, categories: list[str | None] | None = None, **how: Any) -> RangeTable:
    """The ranges of errors that are alike at all scores."""
    count = len(errors)
    return calibrate_ranges(
        errors, np.zeros(count), categories or [None] * count, spread=LEVEL, **how
    )


def test_half_width_is_the_error_of_the_conformal_rank() -> None:
    # 9 errors: rank ceil(10 * 0.8) = 8
    errors = np.array([0.9, -0.1, 0.2, -0.8, 0.3, 0.7, -0.6, 0.5, 0.4])
    assert level(errors).pooled == 0.8


def test_rank_is_not_lifted_by_rounding() -> None:
    # 15 * 0.8 is 12.000000000000002 in floating point for some spellings of 0.8
    errors = np.arange(1, 15, dtype=np.float64)
    assert level(errors, probability=1 - 0.2).pooled == 12


def test_too_few_items_have_no_finite_range() -> None:
    with pytest.raises(ValueError, match="3 items are too few for a range of 80%"):
        level(np.ones(3))


def test_errors_count_in_units_of_the_spread_at_their_score() -> None:
    # in units of the spread 1, 0.625 and 0.25: 1, 3.2, 0.4, 2; rank ceil(5 * 0.8) = 4
    table = calibrate_ranges(
        np.array([1.0, 2.0, 0.1, 0.5]), np.array([-1, 1, 5, 2]), [None] * 4, spread=FALLING
    )
    assert table.pooled == pytest.approx(3.2)
    assert [table.half_width(None, score) for score in (-9, 0, 1, 2, 9)] == pytest.approx(
        [3.2, 3.2, 2.0, 0.8, 0.8]
    )


def test_groups_are_the_deepest_levels_with_enough_items_and_the_rest_goes_up() -> None:
    # A > B: 5 items of its own; A > C: 3 go up to A, which with 2 of its own has 5;
    # D > E: 2 go up to D, which is too small: pooled
    categories = ["A > B"] * 5 + ["A > C"] * 3 + ["A"] * 2 + ["D > E"] * 2
    errors = np.array([1.0] * 5 + [2.0] * 3 + [2.0] * 2 + [9.0] * 2)
    table = level(errors, [*categories], min_group=5)
    assert table.by_category == {"A > B": 1.0, "A": 2.0}
    # 12 items: rank ceil(13 * 0.8) = 11
    assert table.pooled == 9.0
    widths = [table.half_width(path, 0.0) for path in ("A > B", "A > B > F", "A > X > Y")]
    assert widths == [1.0, 1.0, 2.0]
    assert [table.half_width(path, 0.0) for path in ("D > E", None, "Z")] == [9.0] * 3


def test_a_group_s_width_follows_the_score_too() -> None:
    table = RangeTable(probability=0.8, spread=FALLING, pooled=1.0, by_category={"A": 2.0})
    assert [table.half_width("A > B", score) for score in (0, 1, 2)] == [2.0, 1.25, 0.5]


@given(
    st.lists(st.floats(-3, 3), min_size=9, max_size=60),
    st.sampled_from([0.5, 0.8, 0.9]),
    st.integers(0, 99),
)
def test_the_range_holds_at_least_that_share_of_what_it_was_made_from(
    errors: list[float], probability: float, seed: int
) -> None:
    scores = np.random.default_rng(seed).normal(size=len(errors))
    table = calibrate_ranges(
        np.array(errors), scores, [None] * len(errors), spread=FALLING, probability=probability
    )
    inside = sum(
        abs(error) <= table.half_width(None, score) * (1 + 1e-12)
        for error, score in zip(errors, scores, strict=True)
    )
    assert inside >= math.floor(probability * len(errors))


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_a_surer_item_never_has_the_wider_range(one: float, other: float) -> None:
    table = RangeTable(probability=0.8, spread=FALLING, pooled=1.3, by_category={})
    low, high = sorted((one, other))
    assert table.half_width(None, high) <= table.half_width(None, low)


@pytest.mark.parametrize("wrong", [1.0, 0.2, 5.0])
def test_true_coverage_of_new_items_is_the_nominal_one_whatever_the_spread(wrong: float) -> None:
    rng = np.random.default_rng(5)
    believed = FALLING.model_copy(update={"value": (1.0, 0.25 * wrong)})

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        scores = rng.uniform(-1, 3, count)
        return rng.normal(size=count) * FALLING(scores), scores

    shares = []
    for _ in range(200):
        errors, scores = draw(99)
        table = calibrate_ranges(errors, scores, [None] * 99, spread=believed)
        new, new_scores = draw(500)
        shares.append((np.abs(new) <= table.pooled * believed(new_scores)).mean())
    # exactly 0.80 is expected (rank 80 of 99); 200 calibrations leave an error of 0.003
    assert np.mean(shares) == pytest.approx(0.80, abs=0.012)


def test_each_group_has_its_own_coverage() -> None:
    rng = np.random.default_rng(6)
    usual = {"A > easy": 0.2, "A > hard": 1.0}
    shares: dict[str, list[float]] = {path: [] for path in usual}
    for _ in range(200):
        paths = rng.choice(list(usual), 160)
        errors = np.array([rng.normal() * usual[path] for path in paths])
        table = level(errors, [*paths])
        for path, size in usual.items():
            new = np.abs(rng.normal(size=200) * size)
            shares[path].append(float((new <= table.half_width(path, 0.0)).mean()))
    for of_path in shares.values():
        assert 0.79 < np.mean(of_path) < 0.83
