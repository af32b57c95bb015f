"""Joint training of the price and the classification network, with warm-up (3.4).

The whole training part lies on the device as one tensor and batches are drawn there; nothing is
copied between steps. The same code runs on a CPU.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from models.errors import TrainingError
from models.joint.keeper import BestPrice
from models.joint.losses import BETA, PercentileLoss, ThresholdLoss
from models.joint.network import JointNetwork

Progress = Callable[[str, int, int], None]
"""Told after each epoch: name of the part, epochs done, epochs of all parts."""

# Above 1, so that accepting an average item pays while the share is short of delta.
BETA_RATIO = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how held back the training is. The defaults are the paper's plain form.

    Attributes:
        epochs: of the four parts of 3.4.
        batch_size: items a step; the paper's 4096 is for its 892,414 items.
        dropout: share of hidden units left out in a step.
        input_dropout: share of input columns left out in a step.
        weight_decay: decoupled from the gradient (AdamW); 0 is Adam, as in the paper.
        members: heads of the price network. With 1 the classification network learns from
            errors on items that the price network was trained on, as the paper has it. With
            M > 1 each head leaves out every M-th item, and an item is judged by the error of
            the head that left it out; the price is the mean of the heads.
        beta: weight of the missing share in Eq. 1 and Eq. 3; the paper's figure is not known.
            It is in the units of a squared error: far below that of the items to be accepted,
            refusing everything is cheapest; far above, nothing is ever refused. None sets it
            to twice the mean squared error over all items of the epoch before.
        keep_best: the second stage starts from the warm-up epoch whose price network did best
            on the validation part.
    """

    epochs: tuple[int, int, int, int] = (1700, 850, 3400, 1700)
    batch_size: int = 4096
    dropout: float = 0.0
    input_dropout: float = 0.0
    weight_decay: float = 0.0
    members: int = 1
    beta: float | None = BETA
    keep_best: bool = False


PAPER = Plan()


@dataclass(frozen=True, slots=True)
class Part:
    """Some epochs at one learning rate; with `warm_up`, C_1 is 1 for all items (3.4)."""

    name: str
    epochs: int
    learning_rate: float
    warm_up: bool


def parts_of(epochs: tuple[int, int, int, int]) -> tuple[Part, ...]:
    """Return the four parts of 3.4: each of the two stages at 5e-4, then at 2e-4."""
    return (
        Part("warm-up", epochs[0], 5e-4, warm_up=True),
        Part("warm-up, slower", epochs[1], 2e-4, warm_up=True),
        Part("joint", epochs[2], 5e-4, warm_up=False),
        Part("joint, slower", epochs[3], 2e-4, warm_up=False),
    )


def train_joint(
    network: JointNetwork,
    inputs: Tensor,
    targets: Tensor,
    validation_inputs: Tensor,
    validation_targets: Tensor,
    *,
    loss: PercentileLoss | ThresholdLoss,
    plan: Plan,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> None:
    """Train the heads of `network` in place; it ends in eval mode on the CPU.

    Args:
        network: with its scaling fitted, and `plan.members` price heads.
        inputs: raw columns of the training part `[N, width]` float32, NaN where not known.
        targets: natural log of the sold prices `[N]`, in whole currency units.
        validation_inputs: the same of the validation part `[M, width]`.
        validation_targets: `[M]`.
        loss: Eq. 1 or Eq. 3; its `beta` is set here.
        plan: epochs and regularisation.
        seed: of batches and dropout; on a CPU the same seed gives the same weights.
        device: where all of it lies.
        progress: told after each epoch.

    Raises:
        TrainingError: the loss is no longer finite, or at the end the gate accepts less than
            delta / 2 or more than `loss.max_coverage` of the training part: the trivial answers.
    """
    torch.manual_seed(seed)
    network.to(device)
    items = _Items(
        network.scale(inputs.to(device)),
        targets.to(device) - network.target_mean,
        torch.arange(len(targets), device=device) % plan.members,
    )
    held_out = network.scale(validation_inputs.to(device))
    held_out_prices = validation_targets.to(device) - network.target_mean
    draw = torch.Generator(device=device).manual_seed(seed)

    parts = parts_of(plan.epochs)
    # of a network that only knows the mean, until there is an epoch to go by
    loss.beta = BETA_RATIO * float(items.prices.var()) if plan.beta is None else plan.beta
    total, done = sum(part.epochs for part in parts), 0
    best = BestPrice(network, held_out, held_out_prices)
    optimizer: torch.optim.Optimizer | None = None
    warm_up = True
    for part in parts:
        if warm_up and not part.warm_up:
            best.restore()
        if optimizer is None or warm_up != part.warm_up:  # its moments are of another objective
            optimizer = torch.optim.AdamW(
                network.parameters(),
                weight_decay=plan.weight_decay,
                fused=True,  # one pass over the weights: a step of 256 items in 0.78 of the time
            )
        warm_up = part.warm_up
        for group in optimizer.param_groups:
            group["lr"] = part.learning_rate
        for _ in range(part.epochs):
            squared = _epoch(network, items, loss, warm_up, optimizer, plan.batch_size, draw)
            if plan.beta is None:
                loss.beta = BETA_RATIO * squared
            if plan.keep_best and warm_up:
                best.see()
            done += 1
            if progress is not None:
                progress(part.name, done, total)
    network.eval()
    _check_coverage(network, items.inputs, loss)
    network.cpu()


@dataclass(frozen=True, slots=True)
class _Items:
    inputs: Tensor  # scaled
    prices: Tensor  # centred
    left_out_by: Tensor  # which member does not train on the item


def _epoch(
    network: JointNetwork,
    items: _Items,
    loss: PercentileLoss | ThresholdLoss,
    warm_up: bool,
    optimizer: torch.optim.Optimizer,
    batch_size: int,
    draw: torch.Generator,
) -> float:
    """Train for one epoch; return the mean squared error that the gate was shown."""
    network.train()
    device = items.inputs.device
    order = torch.randperm(len(items.inputs), generator=draw, device=device)
    total = torch.zeros((), device=device)
    squared = torch.zeros((), device=device)
    for batch in torch.split(order, batch_size):
        with _mixed_precision(device):
            value, errors = _batch_loss(network, items, batch, loss, warm_up)
        optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += value.detach()
        squared += (errors.detach() ** 2).sum()
    # once an epoch: reading the value waits for the device
    if not math.isfinite(total.item()):
        raise TrainingError(
            "the loss is not finite any more: lower the learning rate or look at the prices"
        )
    return squared.item() / len(order)


def _batch_loss(
    network: JointNetwork,
    items: _Items,
    batch: Tensor,
    loss: PercentileLoss | ThresholdLoss,
    warm_up: bool,
) -> tuple[Tensor, Tensor]:
    """Return the loss of a batch, and the errors `[B]` that the gate was shown."""
    inputs, prices = items.inputs[batch], items.prices[batch]
    members = network.member_prices(inputs)
    scores = network.gate(inputs)
    count = len(members)
    if count == 1:
        value: Tensor = loss(members[0], scores, prices, warm_up=warm_up)
        return value, prices - members[0]
    # the gate learns from the member that has not seen the item, without dropout
    left_out = items.left_out_by[batch]
    network.prices.eval()
    with torch.no_grad():
        judged = torch.empty_like(prices)
        for number, head in enumerate(network.prices):
            judged[left_out == number] = head(inputs[left_out == number]).to(judged.dtype)
    network.prices.train()
    of_gate: Tensor = loss(judged, scores, prices, warm_up=warm_up)
    # and each member from the items of C_1 = 1 that it does not leave out: the first term of Eq. 1
    qualified = torch.ones_like(prices) if warm_up else (scores >= 0).to(prices.dtype)
    trains = left_out != torch.arange(count, device=left_out.device)[:, None]
    of_members = (trains * qualified * (prices - members) ** 2).mean(dim=1).sum()
    return of_gate + of_members * count / (count - 1), prices - judged


def _mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


def _check_coverage(
    network: JointNetwork, inputs: Tensor, loss: PercentileLoss | ThresholdLoss
) -> None:
    with torch.inference_mode():
        coverage = float((network.gate(inputs) >= 0).float().mean())
    if not loss.delta / 2 <= coverage <= loss.max_coverage:
        raise TrainingError(
            f"the classification network ended at a trivial answer: it qualifies {coverage:.1%} of "
            f"the training part, where {loss.delta / 2:.1%} to {loss.max_coverage:.0%} are "
            "expected; train longer, or with another beta"
        )
