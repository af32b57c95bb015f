"""A network that begins as another says what that one says, on other columns."""

import numpy as np
import pytest
import torch

from models.joint.kernel import Layout, fit_kernel
from models.joint.network import JointNetwork
from models.joint.warm_start import begin_as, obstacle

FEATURES, STATISTICS = 5, 16
OLD = ("A", "A > B", "gone")
NEW = ("A", "A > B", "fresh", "other")


def rows(count: int, levels: int, seed: int, spread: float) -> np.ndarray:
    """Raw columns within a few standard deviations, so that nothing is clipped."""
    rng = np.random.default_rng(seed)
    numbers = rng.uniform(-1, 1, (count, FEATURES + STATISTICS)) * spread + seed
    of_levels = rng.integers(0, 2, (count, levels))
    return np.hstack([numbers, of_levels]).astype(np.float32)


def network(raw: np.ndarray, levels: int, *, seed: int, kernel: bool) -> JointNetwork:
    torch.manual_seed(seed)
    prices = raw[:, 0] * 0.3 + 4 + seed
    columns, fitted = raw, None
    if kernel:
        layout = Layout(FEATURES, STATISTICS, levels)
        fitted, own = fit_kernel(raw, prices, np.arange(len(raw)), layout=layout, seed=0)
        columns = np.hstack([own, raw])
    found = JointNetwork(raw.shape[1], kernel=fitted, members=2)
    found.fit_scaling(columns, float(prices.mean()), statistics=STATISTICS, levels=levels)
    if kernel:  # wide, so that the values below are not clipped
        found.mean[:2] = torch.tensor([4.0 + seed, 0.5 * seed])
        found.std[:2] = torch.tensor([1.0, 0.7]) * (1 + 0.2 * seed)
    with torch.no_grad():  # as training leaves them: nothing is zero
        for head in (*found.prices, found.gate):
            for value in head.parameters():
                value.copy_(torch.randn_like(value) * 0.03)
    return found.eval()


@pytest.mark.parametrize("kernel", [False, True])
def test_it_says_what_the_earlier_one_says_on_columns_of_its_own(kernel: bool) -> None:
    before, after = rows(60, len(OLD), 1, 1.0), rows(60, len(NEW), 2, 1.3)
    after[:, -2:] = 0  # neither has a listing in a level that the other does not know
    before_network = network(before, len(OLD), seed=1, kernel=kernel)
    new = network(after, len(NEW), seed=2, kernel=kernel)
    begin_as(new, before_network, levels=NEW, earlier_levels=OLD)

    shown = rows(40, 2, 3, 1.0) * 0.5
    shown[:, -2:] = rows(40, 2, 4, 1.0)[:, -2:]
    rest = np.random.default_rng(5).normal(size=(40, 2)).astype(np.float32) if kernel else None

    def columns(levels: int) -> torch.Tensor:
        zeros = np.zeros((40, levels - 2), np.float32)
        parts = [] if rest is None else [rest * 0.5 + np.array([5.5, 0.8])]
        return torch.from_numpy(np.hstack([*parts, shown, zeros]).astype(np.float32))

    with torch.inference_mode():
        expected = before_network.of_columns(columns(len(OLD)))
        found = new.of_columns(columns(len(NEW)))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
        assert one.std() > 0.01


def test_what_stands_in_the_way_is_named() -> None:
    raw = rows(30, len(OLD), 1, 1.0)
    plain = network(raw, len(OLD), seed=1, kernel=False)
    assert obstacle(plain, kernel=False, members=2) is None
    assert "kernel columns" in str(obstacle(plain, kernel=True, members=2))
    assert "2 price heads, not 4" in str(obstacle(plain, kernel=False, members=4))
    small = JointNetwork(raw.shape[1], members=2, hidden=(8, 8))
    assert "[8, 8]" in str(obstacle(small, kernel=False, members=2))
    with pytest.raises(ValueError, match="columns before the levels"):
        begin_as(plain, plain, levels=OLD, earlier_levels=OLD[:1])
