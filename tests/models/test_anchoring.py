"""Made sellers who take some of a suggestion, and what the test finds of it."""

import numpy as np
import pytest

from models.anchoring import MIN_CONTROLS, Anchoring, anchoring

N = 4_000


def market(pull: float, shift: float, *, seed: int, controls: float = 0.1) -> Anchoring:
    """Sellers who saw a suggestion go `pull` of the way to it, and add `shift`."""
    rng = np.random.default_rng(seed)
    suggested = rng.normal(4, 1, N)
    control = rng.random(N) < controls
    alone = suggested + rng.normal(0, 0.4, N)
    sold = np.where(control, alone, alone + pull * (suggested - alone) + shift)
    return anchoring(suggested, sold, control, seed=seed)


def test_a_planted_pull_and_shift_are_found() -> None:
    found = market(0.3, 0.1, seed=1)
    assert found.pull is not None
    assert found.shift is not None
    # E|N(0.1, 0.28)| over E|N(0, 0.4)|, by Monte Carlo of its own
    rng = np.random.default_rng(99)
    expected = 1 - np.abs(rng.normal(0.1, 0.28, 400_000)).mean() / (0.4 * np.sqrt(2 / np.pi))
    assert found.pull == pytest.approx(expected, abs=0.06)
    assert found.shift == pytest.approx(0.1, abs=0.05)
    assert found.pull_p is not None
    assert found.pull_p <= 0.01
    assert "pull sold prices towards them" in found.says()
    assert "shift sold prices by +" in found.says()


def test_where_suggestions_do_nothing_it_seldom_says_otherwise() -> None:
    found = [market(0.0, 0.0, seed=seed) for seed in range(40)]
    # at 5 % about two of forty; more than seven has a probability below 0.002
    assert sum(each.pull_p is not None and each.pull_p < 0.05 for each in found) <= 7
    assert sum(each.shift_p is not None and each.shift_p < 0.05 for each in found) <= 7
    silent = next(each for each in found if min(each.pull_p or 0, each.shift_p or 0) > 0.05)
    assert silent.says().startswith("suggestions do nothing to prices that shows")


@pytest.mark.parametrize("controls", [0, MIN_CONTROLS - 1, 400 - MIN_CONTROLS + 1])
def test_with_too_few_of_either_kind_it_cannot_be_told(controls: int) -> None:
    control = np.arange(400) < controls
    found = anchoring(np.zeros(400), np.ones(400), control, seed=0)
    assert (found.controls, found.treated, found.pull, found.shift) == (
        controls,
        400 - controls,
        None,
        None,
    )
    assert "cannot be told" in found.says()
