"""Expected values are worked out by hand from the printed equations, on three items."""

import math

import pytest
import torch

from models.joint.losses import PercentileLoss, ThresholdLoss, gate

# e = y - f = (0.5, -1, 2); e^2 = (0.25, 1, 4); f_cls = sigmoid(s) = (0.75, 0.25, 0.5)
TARGETS = torch.tensor([1.5, 2.0, 3.0])
SCORES = [math.log(3), -math.log(3), 0.0]


def parameters() -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.tensor([1.0, 3.0, 1.0], requires_grad=True),
        torch.tensor(SCORES, requires_grad=True),
    )


def gradient(value: torch.Tensor, of: torch.Tensor) -> list[float]:
    (found,) = torch.autograd.grad(value, of, retain_graph=True)
    numbers: list[float] = found.tolist()
    return numbers


def test_gate_has_the_value_of_eq_2_and_opens_at_one_half() -> None:
    assert gate(torch.tensor([*SCORES, -1e-6, 40.0, -40.0])).tolist() == [1, 0, 1, 0, 1, 0]


def test_gate_has_the_gradient_of_the_sigmoid() -> None:
    scores = torch.tensor(SCORES, requires_grad=True)
    assert gradient(gate(scores).sum(), scores) == pytest.approx([0.1875, 0.1875, 0.25])


def test_eq_1_by_hand() -> None:
    prices, scores = parameters()
    # C_1 = (1, 0, 1): (0.25 + 4) / 3, and the share 2/3 is below delta = 0.9
    expected = 4.25 / 3 + 1.0 * (0.9 - 2 / 3)
    found = PercentileLoss(delta=0.9)(prices, scores, TARGETS)
    assert found.item() == pytest.approx(expected)


def test_eq_1_does_not_reward_more_than_delta() -> None:
    prices, scores = parameters()
    found = PercentileLoss(delta=0.5, beta=7.0)(prices, scores, TARGETS)
    assert found.item() == pytest.approx(4.25 / 3)


def test_eq_1_in_warm_up_takes_all_items() -> None:
    prices, scores = parameters()
    found = PercentileLoss(delta=0.9)(prices, scores, TARGETS, warm_up=True)
    assert found.item() == pytest.approx(5.25 / 3 + (0.9 - 2 / 3))


def test_eq_3_by_hand() -> None:
    prices, scores = parameters()
    # C_2 = [|e| <= 1] = (1, 1, 0) against f_cls = (0.75, 0.25, 0.5)
    cross_entropy = -(math.log(0.75) + math.log(0.25) + math.log(0.5)) / 3
    expected = 4.25 / 3 + 2.0 * (0.9 - 2 / 3) + 0.5 * cross_entropy
    loss = ThresholdLoss(epsilon=1.0, delta=0.9, beta=2.0, gamma=0.5)
    assert loss(prices, scores, TARGETS).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("delta", "squared_error_below_beta", "sign"),
    [
        (0.9, True, -1),  # too few qualified, a good item: its score goes up (gradient below 0)
        (0.9, False, +1),  # too few qualified, but it costs more than it brings
        (0.3, True, +1),  # enough qualified: every item is better refused
        (0.3, False, +1),
    ],
)
def test_sign_of_the_gradient_of_a_score(
    delta: float, squared_error_below_beta: bool, sign: int
) -> None:
    prices, scores = parameters()
    found = gradient(PercentileLoss(delta=delta, beta=1.5)(prices, scores, TARGETS), scores)
    item = 0 if squared_error_below_beta else 2  # e^2 = 0.25 or 4
    assert math.copysign(1, found[item]) == sign
    # d/ds = p (1 - p) (e^2 - beta [short of delta]) / 3
    short = 1.5 if delta == 0.9 else 0.0
    slope, squared = {0: (0.1875, 0.25), 2: (0.25, 4.0)}[item]
    assert found[item] == pytest.approx(slope * (squared - short) / 3)


@pytest.mark.parametrize("warm_up", [False, True])
def test_price_network_learns_from_qualified_items_only_after_warm_up(warm_up: bool) -> None:
    prices, scores = parameters()
    found = gradient(PercentileLoss(delta=0.5)(prices, scores, TARGETS, warm_up=warm_up), prices)
    # -2 e c / 3
    assert found == pytest.approx([-1 / 3, (2 / 3 if warm_up else 0.0), -4 / 3])


def test_gate_learns_in_warm_up_as_it_does_later() -> None:
    prices, scores = parameters()
    loss = PercentileLoss(delta=0.9)
    early = gradient(loss(prices, scores, TARGETS, warm_up=True), scores)
    assert early == pytest.approx(gradient(loss(prices, scores, TARGETS), scores))


def test_labels_of_eq_4_carry_no_gradient_and_include_epsilon_itself() -> None:
    prices, scores = parameters()
    alone = ThresholdLoss(epsilon=1.0, delta=0.0, beta=0.0, gamma=1.0)
    without = ThresholdLoss(epsilon=1.0, delta=0.0, beta=0.0, gamma=0.0)
    difference = alone(prices, scores, TARGETS) - without(prices, scores, TARGETS)
    assert gradient(difference, prices) == pytest.approx([0, 0, 0])
    # (f_cls - C_2) / 3 with C_2 = (1, 1, 0): the second error is exactly epsilon
    assert gradient(difference, scores) == pytest.approx([-0.25 / 3, -0.75 / 3, 0.5 / 3])


@pytest.mark.parametrize(("delta", "short"), [(0.9, 1.5), (0.3, 0.0)])
def test_gradient_of_eq_3_adds_both_pulls_on_a_score(delta: float, short: float) -> None:
    prices, scores = parameters()
    loss = ThresholdLoss(epsilon=1.0, delta=delta, beta=1.5, gamma=0.25)
    # (p (1 - p) (e^2 - beta [short of delta]) + gamma (p - C_2)) / 3
    expected = [
        (0.1875 * (0.25 - short) + 0.25 * (0.75 - 1)) / 3,
        (0.1875 * (1.0 - short) + 0.25 * (0.25 - 1)) / 3,
        (0.25 * (4.0 - short) + 0.25 * (0.5 - 0)) / 3,
    ]
    assert gradient(loss(prices, scores, TARGETS), scores) == pytest.approx(expected)


def test_eq_1_as_printed_gives_the_classification_network_no_gradient() -> None:
    prices, scores = parameters()
    indicator = (torch.sigmoid(scores) >= 0.5).float()
    assert not indicator.requires_grad
    printed = (indicator * (TARGETS - prices) ** 2).mean()
    printed = printed + 1.5 * torch.relu(0.9 - indicator.mean())
    (found,) = torch.autograd.grad(printed, scores, allow_unused=True)
    assert found is None
    ours = PercentileLoss(delta=0.9, beta=1.5)(prices, scores, TARGETS)
    assert ours.item() == pytest.approx(printed.item())
    assert all(gradient(ours, scores))


def test_extreme_scores_stay_finite() -> None:
    scores = torch.tensor([1e4, -1e4, 0.0], requires_grad=True)
    for loss in (PercentileLoss(delta=0.9), ThresholdLoss(epsilon=0.5)):
        value = loss(torch.tensor([1.0, 3.0, 1.0]), scores, TARGETS)
        assert math.isfinite(value.item())
        assert all(map(math.isfinite, gradient(value, scores)))
