"""Joint training of the price and the classification network, with warm-up (3.4).

The whole training part lies on the device as one tensor and batches are drawn there; nothing is
copied between steps. The same code runs on a CPU.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models.errors import TrainingError
from models.joint.checkpoint import EVERY, Checkpoint, digest
from models.joint.keeper import BestPrice
from models.joint.losses import BETA, PercentileLoss, ThresholdLoss
from models.joint.network import JointNetwork
from models.joint.step import Items, Step, coverage, multiplied_in, resident

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
            M > 1 each head leaves out every M-th group, and an item is judged by the error of
            the head that left it out; the price is the mean of the heads.
        beta: weight of the missing share in Eq. 1 and Eq. 3; the paper's figure is not known.
            It is in the units of a squared error: far below that of the items to be accepted,
            refusing everything is cheapest; far above, nothing is ever refused. None sets it
            to twice the mean squared error over all items of the epoch before.
        keep_best: the second stage starts from the warm-up epoch whose price network did best
            on the validation part; or with that at the start, if none did better.
        landmarks: items that the columns of `models.joint.kernel` compare an item with; 0 is
            without these columns, as in the paper.
    """

    epochs: tuple[int, int, int, int] = (1700, 850, 3400, 1700)
    batch_size: int = 4096
    dropout: float = 0.0
    input_dropout: float = 0.0
    weight_decay: float = 0.0
    members: int = 1
    beta: float | None = BETA
    keep_best: bool = False
    landmarks: int = 0


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
    groups: Tensor | None = None,
    *,
    loss: PercentileLoss | ThresholdLoss,
    plan: Plan,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: float = EVERY,
) -> None:
    """Train the heads of `network` in place; it ends in eval mode on the CPU.

    Args:
        network: with its scaling fitted, and `plan.members` price heads.
        inputs: columns of the training part `[N, C]` float32, NaN where not known: the raw ones,
            after the leave-one-out answers of the network's kernel if it has one.
        targets: natural log of the sold prices `[N]`, in whole currency units.
        validation_inputs: the same of the validation part `[M, C]`: `network.columns`.
        validation_targets: `[M]`.
        groups: `[N]` what belongs together and is left out by the same member; by default nothing.
        loss: Eq. 1 or Eq. 3; its `beta` is set here.
        plan: epochs and regularisation.
        seed: of batches and dropout; on a CPU the same seed gives the same weights.
        device: where all of it lies.
        progress: told after each epoch.
        checkpoint: a file to which the state is written now and then, and from which a training
            that was killed goes on: on a CPU to the same weights, bit for bit. One of another
            training (data, plan, seed, loss, initial weights) is replaced. It stays at the end.
        checkpoint_every: seconds between two; they are written after an epoch.

    Raises:
        TrainingError: the loss is no longer finite, or at the end the gate accepts less than
            delta / 2 or more than `loss.max_coverage` of the training part: the trivial answers.
            Or the checkpoint cannot be written.
    """
    torch.manual_seed(seed)
    if groups is None:
        groups = torch.arange(len(targets))
    of_all = (
        _identity(network, inputs, targets, groups, loss, plan, seed, device) if checkpoint else ""
    )
    network.to(device)
    items = Items(
        resident(network, inputs, device),
        targets.to(device) - network.target_mean,
        groups.to(device) % plan.members,
    )
    best = BestPrice(
        network,
        resident(network, validation_inputs, device),
        validation_targets.to(device) - network.target_mean,
    )
    if plan.keep_best:
        best.see()
    run = _Run(network, items, loss, plan, best, torch.Generator(device=device).manual_seed(seed))
    saved = None
    if checkpoint is not None:
        saved = Checkpoint(checkpoint, identity=of_all, every=checkpoint_every)
        found = saved.read()
        if found is not None:
            run.restore(*found)
    total = sum(plan.epochs)
    for part in run.left():
        run.epoch(part)
        if progress is not None:
            progress(part.name, run.done, total)
        if saved is not None and saved.is_due():
            saved.write(*run.state())
    if not plan.epochs[2] + plan.epochs[3]:
        best.restore()
    network.eval()
    _check_coverage(coverage(network, items.inputs), loss)
    network.cpu()


class _Run:
    """All that changes in the course of a training."""

    def __init__(
        self,
        network: JointNetwork,
        items: Items,
        loss: PercentileLoss | ThresholdLoss,
        plan: Plan,
        best: BestPrice,
        draw: torch.Generator,
    ) -> None:
        self.done = 0
        self._network, self._items, self._plan = network, items, plan
        self._loss, self._best, self._draw = loss, best, draw
        # of a network that only knows the mean, until there is an epoch to go by
        loss.beta = BETA_RATIO * float(items.prices.var()) if plan.beta is None else plan.beta
        self._part: Part | None = None
        self._optimizer = self._new_optimizer()
        self._step: Step | None = None

    def left(self) -> list[Part]:
        """Return the part of each epoch that is still to come."""
        parts = [part for part in parts_of(self._plan.epochs) for _ in range(part.epochs)]
        if self.done:
            self._part = parts[self.done - 1]
        return parts[self.done :]

    def epoch(self, part: Part) -> None:
        """Train for one epoch of the part."""
        before, self._part = self._part, part
        if before is not None and before.warm_up != part.warm_up:
            self._best.restore()
            self._optimizer = self._new_optimizer()  # its moments are of another objective
        if before != part or self._step is None:
            for group in self._optimizer.param_groups:
                group["lr"] = part.learning_rate
            self._step = Step(
                self._network,
                self._items,
                self._loss,
                self._optimizer,
                warm_up=part.warm_up,
                batch_size=min(self._plan.batch_size, len(self._items.inputs)),
                captured=self._plan.members == 1 and self._plan.beta is not None,
            )
        self._network.train()
        count = len(self._items.inputs)
        order = torch.randperm(count, generator=self._draw, device=self._items.inputs.device)
        for batch in torch.split(order, self._plan.batch_size):
            self._step(batch)
        losses, squares = self._step.take_sums()  # once an epoch: it waits for the device
        if not math.isfinite(losses):
            raise TrainingError(
                "the loss is not finite any more: lower the learning rate or look at the prices"
            )
        if self._plan.beta is None:
            self._loss.beta = BETA_RATIO * squares / count
        if self._plan.keep_best and part.warm_up:
            self._best.see()
        self.done += 1

    def state(self) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Return tensors and numbers that `restore` goes on from."""
        tensors = {f"network.{name}": value for name, value in self._network.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self._best.weights.items()}
        for number, moments in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
        tensors["draw"] = self._draw.get_state()
        tensors["random"] = torch.get_rng_state()
        if self._draw.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self._draw.device)
        return tensors, {"done": self.done, "beta": self._loss.beta, "least": self._best.least}

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, float]) -> None:
        """Stand where `state` was asked."""
        self.done = int(numbers["done"])
        self._loss.beta, self._best.least = numbers["beta"], numbers["least"]
        self._network.load_state_dict(_below("network.", tensors))
        device = self._items.inputs.device
        self._best.weights = {
            name: value.to(device) for name, value in _below("best.", tensors).items()
        }
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimizer.", tensors).items():
            number, _, kind = name.partition(".")
            moments.setdefault(int(number), {})[kind] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self._draw.set_state(tensors["draw"])
        torch.set_rng_state(tensors["random"])
        if "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], self._draw.device)

    def _new_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self._network.parameters(),
            weight_decay=self._plan.weight_decay,
            fused=True,  # one pass over the weights: a fifth of the time on a CPU
            capturable=self._items.inputs.device.type == "cuda",
        )


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _identity(
    network: JointNetwork,
    inputs: Tensor,
    targets: Tensor,
    groups: Tensor,
    loss: PercentileLoss | ThresholdLoss,
    plan: Plan,
    seed: int,
    device: torch.device,
) -> str:
    """Name a training by all that its result depends on, of the inputs by a thousand rows."""
    rows = inputs[:: max(1, len(inputs) // 1000)]
    settings = (type(loss).__name__, loss.delta, getattr(loss, "epsilon", None), plan, seed)
    where = (device.type, multiplied_in(device), torch.__version__)
    return digest(
        *network.state_dict().values(), inputs.shape, rows, targets, groups, *settings, *where
    )


def _check_coverage(reached: float, loss: PercentileLoss | ThresholdLoss) -> None:
    if not loss.delta / 2 <= reached <= loss.max_coverage:
        raise TrainingError(
            f"the classification network ended at a trivial answer: it qualifies {reached:.1%} of "
            f"the training part, where {loss.delta / 2:.1%} to {loss.max_coverage:.0%} are "
            "expected; train longer, or with another beta"
        )
