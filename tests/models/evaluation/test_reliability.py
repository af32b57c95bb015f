import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.reliability import reliability


def test_two_bins_by_hand() -> None:
    # low half: confidences 0.1 and 0.3, one of two came true; high half: 0.8 and 0.9, both
    found = reliability([0.9, 0.1, 0.8, 0.3], [True, False, True, True], bins=2)
    assert found.confidence == pytest.approx([0.2, 0.85])
    assert found.frequency == pytest.approx([0.5, 1.0])
    assert found.count.tolist() == [2, 2]
    assert found.error == pytest.approx((2 * 0.3 + 2 * 0.15) / 4)


def test_items_of_one_confidence_share_a_bin() -> None:
    confidence = [0.2] * 7 + [0.6] * 3
    hit = [True] * 7 + [False] * 3
    found = reliability(confidence, hit, bins=10)
    assert found.count.tolist() == [7, 3]
    assert found.error == pytest.approx(0.7 * 0.8 + 0.3 * 0.6)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50),
    st.integers(1, 12),
)
def test_every_item_is_in_one_bin_and_the_means_are_kept(
    items: list[tuple[float, bool]], bins: int
) -> None:
    confidence, hit = zip(*items, strict=True)
    found = reliability(confidence, hit, bins)
    assert 1 <= len(found.count) <= bins
    assert found.count.sum() == len(items)
    assert (found.confidence * found.count).sum() == pytest.approx(sum(confidence))
    assert (found.frequency * found.count).sum() == pytest.approx(sum(hit))
    assert (np.diff(found.confidence) > -1e-9).all()
    assert 0 <= found.error <= 1


def test_what_is_calibrated_has_an_error_of_chance_alone_and_boasting_shows() -> None:
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.2, 0.9, 20_000)
    hit = rng.uniform(size=20_000) < confidence
    assert reliability(confidence, hit).error < 0.02  # chance: 0.8 sqrt(.25 * 10 / 20000) = 0.009
    assert reliability(np.minimum(confidence + 0.1, 1), hit).error == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(
    ("confidence", "hit"), [([], []), ([0.5], [True, False]), ([1.1], [True]), ([np.nan], [True])]
)
def test_what_makes_no_curve(confidence: list[float], hit: list[bool]) -> None:
    with pytest.raises(ValueError, match=r"make no curve|not in 0..1"):
        reliability(confidence, hit)
