"""The kernel columns: what a plain kernel ridge regression says, without the item itself."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.joint.export import export_heads
from models.joint.kernel import ERROR_RIDGE, PRICE_RIDGES, KernelColumns, Layout, fit_kernel
from models.joint.network import JointNetwork
from models.joint.runtime import OnnxHeads

LAYOUT = Layout(features=6, statistics=4, levels=3)
Rows = npt.NDArray[np.float32]


def market(count: int, seed: int) -> tuple[Rows, npt.NDArray[np.float64]]:
    """Prices follow the features; in the second level they are far less certain."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 13)).astype(np.float32)
    rows[:, 10] = 1.0
    rows[:, 11] = rng.integers(2, size=count)
    rows[:, 12] = 1.0 - rows[:, 11]
    noise = rng.normal(size=count) * np.where(rows[:, 11] == 1, 0.6, 0.05)
    prices = 3.0 + np.sin(rows[:, 0]) + 0.5 * rows[:, 6] + 0.3 * rows[:, 11] + noise
    return rows, prices


def similarity(left: Rows, right: Rows, mean: Rows, std: Rows) -> npt.NDArray[np.float64]:
    """The docstring's formula, item by item."""
    found = np.empty((len(left), len(right)))
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            a, b = ((x[:10].astype(float) - mean) / std for x in (one, other))
            a, b = np.clip(a, -5, 5), np.clip(b, -5, 5)
            photos = np.exp(-((a[:6] - b[:6]) ** 2).sum() / 6)
            sold = np.exp(-((a[6:] - b[6:]) ** 2).sum() / 4)
            category = float(one[10:] @ other[10:]) / 3
            found[i, j] = photos + category + 2 * photos * category + sold
    return found


def scales(rows: Rows) -> tuple[Rows, Rows]:
    std = rows[:, :10].std(axis=0)
    scale: Rows = np.concatenate([std[:6], np.maximum(std[6:], 1.0)]).astype(np.float32)
    return rows[:, :10].mean(axis=0), scale


def ridge(
    training: npt.NDArray[np.float64], targets: npt.NDArray[np.float64], strength: float
) -> npt.NDArray[np.float64]:
    mean = targets.mean()
    alpha = np.linalg.solve(training + strength * np.eye(len(targets)), targets - mean)
    return np.concatenate([[mean], alpha])


def refitted(
    among: npt.NDArray[np.float64],
    targets: npt.NDArray[np.float64],
    groups: npt.NDArray[np.int64],
    strength: float,
) -> npt.NDArray[np.float64]:
    """Solve the equations anew without each group, around the mean of all."""
    left_out = np.empty(len(targets))
    mean = targets.mean()
    for group in np.unique(groups):
        own, others = groups == group, groups != group
        system = among[np.ix_(others, others)] + strength * np.eye(int(others.sum()))
        left_out[own] = mean + among[np.ix_(own, others)] @ np.linalg.solve(
            system, targets[others] - mean
        )
    return left_out


@pytest.mark.parametrize("together", [1, 3])
def test_the_columns_are_kernel_ridge_regressions_left_out_by_refitting(together: int) -> None:
    rows, prices = market(60, 1)
    held_out, _ = market(40, 2)
    groups = np.random.default_rng(0).permutation(60) // together
    kernel, own = fit_kernel(rows, prices, groups, layout=LAYOUT, seed=0)

    mean, std = scales(rows)
    among, across = similarity(rows, rows, mean, std), similarity(held_out, rows, mean, std)
    tried = [refitted(among, prices, groups, strength) for strength in PRICE_RIDGES]
    best = int(np.argmin([((found - prices) ** 2).mean() for found in tried]))
    of_price = ridge(among, prices, PRICE_RIDGES[best])
    sizes = np.abs(prices - tried[best])
    of_error = ridge(among, sizes, ERROR_RIDGE)

    with torch.inference_mode():
        found = kernel(torch.from_numpy(held_out)).numpy()
    np.testing.assert_allclose(own[:, 0], tried[best], atol=2e-4)
    left_out_sizes = refitted(among, sizes, groups, ERROR_RIDGE)
    np.testing.assert_allclose(own[:, 1], np.maximum(0, left_out_sizes), atol=2e-4)
    np.testing.assert_allclose(found[:, 0], across @ of_price[1:] + of_price[0], atol=2e-4)
    expected = np.maximum(0, across @ of_error[1:] + of_error[0])
    np.testing.assert_allclose(found[:, 1], expected, atol=2e-4)


def test_a_sample_of_landmarks_foretells_prices_and_which_are_uncertain() -> None:
    rows, prices = market(600, 3)
    held_out, held_out_prices = market(300, 4)
    kernel, own = fit_kernel(rows, prices, np.arange(600), layout=LAYOUT, seed=0, landmarks=100)
    assert kernel.landmarks.shape == (100, 13)
    with torch.inference_mode():
        found = kernel(torch.from_numpy(held_out)).numpy()
    for answers, truth, of in (
        (own, prices, rows),
        (found, held_out_prices, held_out),
    ):
        errors = np.abs(answers[:, 0] - truth)
        certain = of[:, 11] == 0
        assert errors[certain].mean() < 0.5 * np.abs(truth - truth.mean())[certain].mean()
        assert answers[~certain, 1].mean() > 1.5 * answers[certain, 1].mean()
        assert np.corrcoef(answers[:, 1], errors)[0, 1] > 0.2


def test_what_is_not_known_is_read_as_the_mean_and_as_no_category() -> None:
    rows, prices = market(80, 5)
    kernel, _ = fit_kernel(rows, prices, np.arange(80), layout=LAYOUT, seed=0)
    unknown = rows[:3].copy()
    unknown[:, 7] = np.nan
    unknown[:, 10:] = np.nan
    plain = unknown.copy()
    plain[:, 7] = rows[:, 7].mean()
    plain[:, 10:] = 0
    with torch.inference_mode():
        found, expected = (kernel(torch.from_numpy(each)) for each in (unknown, plain))
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.fixture
def network() -> JointNetwork:
    rows, prices = market(50, 6)
    kernel, own = fit_kernel(rows, prices, np.arange(50), layout=LAYOUT, seed=0)
    made = JointNetwork(13, kernel=kernel, members=2, hidden=(8, 4))
    made.fit_scaling(np.hstack([own, rows]), float(prices.mean()), statistics=4, levels=3)
    return made.eval()


def test_the_networks_begin_as_the_columns(network: JointNetwork) -> None:
    rows, _ = market(30, 7)
    assert isinstance(network.kernel, KernelColumns)
    with torch.inference_mode():
        price, score = network(torch.from_numpy(rows))
        answers = network.kernel(torch.from_numpy(rows))
    # the mean of the column stands where the mean of the prices would
    shift = float(network.target_mean - network.mean[0])
    torch.testing.assert_close(price, answers[:, 0] + shift, atol=1e-4, rtol=0)
    sure = torch.argsort(answers[:, 1])
    assert (score[sure].diff() <= 1e-6).all()


def test_a_network_with_a_kernel_is_saved_and_exported_whole(
    network: JointNetwork, tmp_path: Path
) -> None:
    rows, _ = market(7, 8)
    rows[2, 10:] = np.nan
    network.save(tmp_path / "heads.safetensors")
    export_heads(network, tmp_path / "heads.onnx")
    with torch.inference_mode():
        price, score = network(torch.from_numpy(rows))
        again = JointNetwork.load(tmp_path / "heads.safetensors")(torch.from_numpy(rows))
    served = OnnxHeads(tmp_path / "heads.onnx", 13)(rows)
    torch.testing.assert_close(again, (price, score))
    np.testing.assert_allclose(served[0], price.numpy(), atol=1e-4)
    np.testing.assert_allclose(served[1], score.numpy(), atol=1e-4)
