import numpy as np
import pytest
import torch

from models.joint.losses import PercentileLoss
from models.joint.network import JointNetwork
from models.joint.trainer import Plan, train_joint


def draw(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Prices are noise of variance 1: whatever is learnt of them is wrong for others."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 40)).astype(np.float32)
    return torch.from_numpy(rows), torch.from_numpy(rng.normal(size=count).astype(np.float32))


def squared_error(*, keep_best: bool, joint_epochs: int) -> float:
    """Of the trained network on its validation part."""
    rows, prices = draw(60, 1)
    others, other_prices = draw(200, 2)
    torch.manual_seed(0)
    network = JointNetwork(40, hidden=(64, 32))
    network.fit_scaling(rows.numpy(), float(prices.mean()))
    train_joint(
        network,
        rows,
        prices,
        others,
        other_prices,
        loss=PercentileLoss(delta=0.5),
        plan=Plan(epochs=(100, 0, joint_epochs, 0), batch_size=32, keep_best=keep_best),
        seed=0,
        device=torch.device("cpu"),
    )
    with torch.inference_mode():
        found, _ = network(others)
    return float(((found - other_prices) ** 2).mean())


@pytest.mark.parametrize("joint_epochs", [0, 1])
def test_the_second_stage_starts_from_the_epoch_that_did_best_on_the_validation_part(
    joint_epochs: int,
) -> None:
    last = squared_error(keep_best=False, joint_epochs=joint_epochs)
    best = squared_error(keep_best=True, joint_epochs=joint_epochs)
    variance = float(draw(200, 2)[1].var())
    assert last > 1.3 * variance
    assert best < 1.1 * variance
