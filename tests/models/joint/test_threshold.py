import numpy as np
import pytest

from models.joint.threshold import quantile_threshold


@pytest.mark.parametrize(("delta", "accepted"), [(0.1, 1), (0.5, 5), (0.7, 7), (1.0, 10)])
def test_the_share_reaches_the_threshold(delta: float, accepted: int) -> None:
    scores = np.random.default_rng(1).permutation(10).astype(np.float64)
    assert (scores >= quantile_threshold(scores, delta)).sum() == accepted


def test_what_was_refused_for_its_photos_counts_as_refused() -> None:
    scores = np.array([-np.inf, -np.inf, 1.0, 2.0, 3.0, 4.0])
    assert quantile_threshold(scores, 0.5) == 2.0


def test_where_faults_refuse_more_than_the_rule_the_others_are_accepted() -> None:
    assert quantile_threshold(np.array([-np.inf, -np.inf, -np.inf, 5.0]), 0.5) == 5.0
