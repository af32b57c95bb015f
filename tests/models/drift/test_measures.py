"""The two measures of drift against sums by hand, and what has to be true of any samples."""

from collections import Counter
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.drift.measures import drift_of_names, drift_of_numbers
from models.drift.projection import principal_components

samples = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200).map(np.array)
names = st.lists(st.sampled_from("abcd"), min_size=1, max_size=200)


def ks_by_hand(one: list[float], other: list[float]) -> float:
    return max(
        abs(
            sum(value <= at for value in one) / len(one)
            - sum(value <= at for value in other) / len(other)
        )
        for at in [*one, *other]
    )


def test_psi_of_names_is_the_sum_by_hand() -> None:
    before, now = "a" * 60 + "b" * 40, "a" * 30 + "b" * 50 + "c" * 20
    found = drift_of_names(before, now)
    expected = 0.0
    for name in "abc":  # half an observation more in each of three bins
        was = (Counter(before)[name] + 0.5) / 101.5
        is_now = (Counter(now)[name] + 0.5) / 101.5
        expected += (is_now - was) * log(is_now / was)
    assert found.psi == pytest.approx(expected)
    assert found.by_chance == pytest.approx(2 * (1 / 100 + 1 / 100))
    assert (found.ks, found.p_value) == (None, None)


def test_psi_of_numbers_counts_in_tenths_of_the_reference() -> None:
    before = np.arange(1_000.0)
    now = np.concatenate([np.arange(0.0, 1_000, 2), np.full(500, 5_000.0)])  # half is far above
    expected = 0.0
    for tenth in range(10):
        was, is_now = 100.5 / 1005, ((550 if tenth == 9 else 50) + 0.5) / 1005
        expected += (is_now - was) * log(is_now / was)
    found = drift_of_numbers(before, now)
    assert found.psi == pytest.approx(expected, rel=0.01)
    assert found.ks == pytest.approx(ks_by_hand(before.tolist(), now.tolist()))
    assert found.p_value is not None
    assert found.p_value < 1e-50


@given(samples, samples)
def test_laws_of_numbers(one: np.ndarray, other: np.ndarray) -> None:
    found = drift_of_numbers(one, other)
    assert found.psi >= 0
    assert drift_of_numbers(one, one).psi == 0
    assert drift_of_numbers(one, one).ks == 0
    assert found.ks == pytest.approx(ks_by_hand(one.tolist(), other.tolist()))
    shuffled = np.random.default_rng(1).permutation(other)
    assert drift_of_numbers(one[::-1], shuffled).psi == pytest.approx(found.psi)


@given(names, names)
def test_laws_of_names(one: list[str], other: list[str]) -> None:
    found = drift_of_names(one, other)
    assert found.psi >= 0
    assert drift_of_names(one, one).psi == 0
    assert drift_of_names(one, sorted(other)).psi == pytest.approx(found.psi)


def test_what_is_not_known_is_a_value_of_its_own() -> None:
    rng = np.random.default_rng(3)
    before, now = rng.normal(size=500), rng.normal(size=500)
    before[:50], now[:300] = np.nan, np.nan
    found = drift_of_numbers(before, now)
    was, is_now = 50 / 500, 300 / 500
    assert found.psi > 0.9 * (is_now - was) * log(is_now / was)
    assert found.beyond(0.2, 20)
    nothing = np.full(10, np.nan)
    assert drift_of_numbers(nothing, nothing).psi == 0
    assert not drift_of_numbers(nothing, nothing).beyond(0.0, 1)
    assert drift_of_numbers(nothing, np.zeros(400)).p_value == 0


def test_a_value_that_all_had_is_left_up_or_down() -> None:
    before = np.full(300, 4_500.0)
    for now in (13_500.0, 4_499.0):
        assert drift_of_numbers(before, np.full(300, now)).beyond(0.2, 20)
    assert drift_of_numbers(before, before).psi == 0


def test_chance_is_no_drift_and_a_shift_is() -> None:
    """Of 200 pairs of samples of one law none passes the limit; of shifted ones nearly all do."""
    rng = np.random.default_rng(5)
    chance = [drift_of_numbers(rng.normal(size=250), rng.normal(size=250)) for _ in range(200)]
    assert np.mean([e.psi for e in chance]) == pytest.approx(chance[0].by_chance, rel=0.15)
    assert not any(each.beyond(0.2, 20) for each in chance)
    moved = [drift_of_numbers(rng.normal(size=250), 0.7 + rng.normal(size=250)) for _ in range(50)]
    assert sum(each.beyond(0.2, 20) for each in moved) >= 48
    few = drift_of_numbers(rng.normal(size=10), 0.7 + rng.normal(size=10))
    assert not few.beyond(0.2, 20)


def test_empty_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="0 reference values and 1 new ones"):
        drift_of_numbers(np.array([]), np.array([1.0]))
    with pytest.raises(ValueError, match="nothing to compare"):
        drift_of_names(["a"], [])


def test_components_are_in_deviations_of_the_reference_and_see_a_shift() -> None:
    rng = np.random.default_rng(7)
    directions = np.linalg.qr(rng.normal(size=(30, 3)))[0].T
    sizes = np.array([5.0, 2.0, 1.0])
    before = ((rng.normal(size=(800, 3)) * sizes) @ directions).astype(np.float32)
    shift = 2.0 * directions[1]  # one standard deviation of the second
    now = ((rng.normal(size=(800, 3)) * sizes) @ directions + shift).astype(np.float32)
    reference, current = principal_components(before, now)
    assert reference.shape == current.shape == (800, 3)  # of no more than there are
    assert reference.std(axis=0) == pytest.approx(np.ones(3), rel=0.01)
    assert np.abs(current.mean(axis=0)) == pytest.approx([0, 1, 0], abs=0.15)
