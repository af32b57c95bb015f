import math

import pytest
import torch

from models.extractors.tasks.losses import (
    masked_binary_cross_entropy,
    masked_cross_entropy,
    masked_squared_error,
)

LOGITS = [[2.0, 0.0, -1.0], [0.5, 0.5, 0.5], [1.0, 3.0, 0.0]]


def log_softmax(row: list[float]) -> list[float]:
    total = math.log(sum(math.exp(x) for x in row))
    return [x - total for x in row]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_over_what_is_known(smoothing: float) -> None:
    by_hand = []
    for row, label in ((LOGITS[0], 0), (LOGITS[2], 2)):
        logs = log_softmax(row)
        by_hand.append(-(1 - smoothing) * logs[label] - smoothing * sum(logs) / 3)
    logits = torch.tensor(LOGITS, requires_grad=True)
    loss = masked_cross_entropy(logits, torch.tensor([0, -1, 2]), 2, label_smoothing=smoothing)
    assert loss.item() == pytest.approx(sum(by_hand) / 2, abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[1].tolist() == [0, 0, 0]
    assert gradient[0].abs().sum() > 0


def test_binary_cross_entropy_over_what_is_known() -> None:
    def of(logit: float, yes: bool) -> float:
        return math.log(1 + math.exp(-logit if yes else logit))

    labels = torch.tensor([[1, 0, -1], [-1, -1, -1], [-1, 1, -1]], dtype=torch.int8)
    logits = torch.tensor(LOGITS, requires_grad=True)
    loss = masked_binary_cross_entropy(logits, labels, 3)
    by_hand = (of(2.0, True) + of(0.0, False) + of(3.0, True)) / 3
    assert loss.item() == pytest.approx(by_hand, abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert ((gradient != 0) == (labels >= 0)).all()


def test_squared_error_over_what_is_known() -> None:
    outputs = torch.tensor([[1.0], [5.0], [-1.0]], requires_grad=True)
    loss = masked_squared_error(outputs, torch.tensor([3.0, math.nan, -0.5]), 2)
    assert loss.item() == pytest.approx((4 + 0.25) / 2)
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert gradient.flatten().tolist() == pytest.approx([-2.0, 0.0, -0.5])


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        (masked_cross_entropy, torch.full((3,), -1)),
        (masked_binary_cross_entropy, torch.full((3, 3), -1, dtype=torch.int8)),
        (masked_squared_error, torch.full((3,), math.nan)),
    ],
)
def test_nothing_known_is_a_loss_of_zero_without_a_gradient(loss: object, targets: object) -> None:
    logits = torch.tensor(LOGITS)[:, : 1 if loss is masked_squared_error else 3].requires_grad_()
    value = loss(logits, targets, 0)  # type: ignore[operator]
    assert value.item() == 0
    (gradient,) = torch.autograd.grad(value, logits)
    assert not gradient.any()
    assert not gradient.isnan().any()


def test_the_parts_of_a_batch_add_up_to_the_whole() -> None:
    logits, labels = torch.tensor(LOGITS), torch.tensor([0, -1, 2])
    parts = [masked_cross_entropy(logits[s], labels[s], 2) for s in (slice(0, 2), slice(2, 3))]
    assert sum(parts).item() == pytest.approx(masked_cross_entropy(logits, labels, 2).item())  # type: ignore[union-attr]
