import math

import pytest
import torch

from models.baselines.quantiles import pinball_loss
from models.baselines.selective_net import selective_loss


def test_pinball_loss_by_hand() -> None:
    # two items, at 1 and -2; their quantiles 0.1, 0.5, 0.9
    quantiles = torch.tensor([[0.0, 1.5, 3.0], [-3.0, -2.0, -1.0]])
    by_hand = [0.1 * 1, 0.5 * 0.5, 0.1 * 2, 0.1 * 1, 0.0, 0.1 * 1]
    found = pinball_loss(quantiles, torch.tensor([1.0, -2.0]))
    assert found.item() == pytest.approx(sum(by_hand) / 6)


@pytest.mark.parametrize(("level", "column"), [(0.1, 0), (0.5, 1), (0.9, 2)])
def test_pinball_loss_is_least_at_the_quantile(level: float, column: int) -> None:
    targets = torch.arange(1, 101).float()

    def loss(value: float) -> float:
        quantiles = torch.zeros(100, 3)
        quantiles[:, column] = value
        return pinball_loss(quantiles, targets).item()

    best = 100 * level + 0.5
    assert loss(best) < min(loss(best - 2), loss(best + 2))


def test_selective_loss_by_hand() -> None:
    errors = torch.tensor([1.0, 4.0, 9.0])
    selected = torch.tensor([0.9, 0.2, 0.1])
    auxiliary = torch.tensor([0.0, 3.0, 6.0])
    risk = (0.9 * 1 + 0.2 * 4 + 0.1 * 9) / 1.2
    # 0.4 of the items are selected
    for delta, missing in ((0.3, 0.0), (0.4, 0.0), (0.6, 0.2)):
        found = selective_loss(errors, selected, auxiliary, delta=delta).item()
        assert found == pytest.approx(0.5 * (risk + 32 * missing**2) + 0.5 * 3, rel=1e-5)


def test_selective_loss_selects_small_errors_until_there_are_enough() -> None:
    errors = torch.tensor([0.1, 5.0])
    auxiliary = torch.zeros(2)

    def slopes(delta: float) -> list[float]:
        logits = torch.zeros(2, requires_grad=True)
        value = selective_loss(errors, torch.sigmoid(logits), auxiliary, delta=delta)
        value.backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        return logits.grad.tolist()

    small, large = slopes(0.5)
    assert small < 0 < large
    # short of its share by far, it takes what there is
    assert max(slopes(0.9)) < 0
    assert math.isclose(sum(slopes(0.5)), 0, abs_tol=1e-6)
