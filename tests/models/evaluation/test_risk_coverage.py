import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.risk_coverage import risk_coverage

ERRORS = st.lists(st.floats(0, 5), min_size=1, max_size=30)


def test_three_items_by_hand() -> None:
    # by score: 0.5, 0.1, 0.9; running means 0.5, 0.3, 0.5; by error: 0.1, 0.3, 0.5
    found = risk_coverage([0.1, 0.5, 0.9], [2.0, 3.0, -1.0])
    assert found.coverage == pytest.approx([1 / 3, 2 / 3, 1])
    assert found.risk == pytest.approx([0.5, 0.3, 0.5])
    assert found.area == pytest.approx(1.3 / 3)
    assert found.excess == pytest.approx((1.3 - 0.9) / 3)


def test_items_of_one_score_count_with_their_mean_whatever_their_order() -> None:
    # 0.2 first, then two of score 1 with a mean of 0.6, then one that is refused beforehand
    for errors in ([0.2, 0.4, 0.8, 1.0], [0.2, 0.8, 0.4, 1.0]):
        found = risk_coverage(errors, [7, 1, 1, -math.inf])
        assert found.risk == pytest.approx([0.2, 0.4, 1.4 / 3, 0.6])


@given(ERRORS)
def test_no_order_is_better_than_that_of_the_errors_nor_worse_than_the_reverse(
    errors: list[float],
) -> None:
    scores = np.random.default_rng(len(errors)).normal(size=len(errors))
    found = risk_coverage(errors, scores)
    ideal = risk_coverage(errors, [-error for error in errors])
    worst = risk_coverage(errors, errors)
    assert ideal.excess == pytest.approx(0, abs=1e-9)
    assert found.excess == pytest.approx(found.area - ideal.area, abs=1e-9)
    assert -1e-9 <= found.excess <= worst.excess + 1e-9
    assert found.risk[-1] == pytest.approx(np.mean(errors))


@given(ERRORS)
def test_scores_that_say_nothing_have_the_mean_error_everywhere(errors: list[float]) -> None:
    found = risk_coverage(errors, [0.0] * len(errors))
    assert found.risk == pytest.approx([float(np.mean(errors))] * len(errors))


@pytest.mark.parametrize(
    ("errors", "scores"),
    [([], []), ([1.0], [1.0, 2.0]), ([1.0], [math.nan]), ([-0.1], [1.0]), ([math.inf], [1.0])],
)
def test_what_makes_no_curve(errors: list[float], scores: list[float]) -> None:
    with pytest.raises(ValueError, match=r"make no curve|must not be NaN"):
        risk_coverage(errors, scores)
