"""What the baselines that are networks share with the joint ones: scaling, rates, batches."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.dataset.splits import Indices
from models.errors import TrainingError
from models.joint.heads import HIDDEN, Head
from models.joint.network import JointNetwork
from models.joint.trainer import Plan, Progress, parts_of
from models.training_data import TrainingData
from stats_store.features import STATISTICS_WIDTH

PREDICTION_BATCH = 8192


class ScaledItems:
    """The columns of a dataset, scaled as the joint networks scale them, on the device.

    Attributes:
        device: a GPU where there is one.
        inputs: scaled columns of the training part `[N, width]`.
        prices: its natural log prices `[N]` around `mean`.
        validation_inputs: the same of the validation part `[M, width]`.
        validation_prices: `[M]`.
        mean: of the log prices of the training part.
    """

    def __init__(self, data: TrainingData) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        targets = data.log_prices[data.train]
        self.mean = float(targets.mean())
        self._rows = data.rows
        self._scaling = JointNetwork(data.rows.shape[1], hidden=())
        self._scaling.fit_scaling(
            data.rows[data.train],
            self.mean,
            statistics=STATISTICS_WIDTH,
            levels=len(data.vocabulary),
        )
        self._scaling.to(self.device)
        self.inputs = self.columns(data.train)
        self.prices = torch.from_numpy(targets).to(self.device) - self.mean
        self.validation_inputs = self.columns(data.validation)
        of_validation = torch.from_numpy(data.log_prices[data.validation]).to(self.device)
        self.validation_prices = of_validation - self.mean

    def columns(self, items: Indices) -> Tensor:
        """Return the scaled columns `[N, width]` of listings."""
        return self._scaling.scale(torch.from_numpy(self._rows[items]).to(self.device))


class Epochs:
    """The epochs of one or more trainings that are told as one.

    Each network trains for as many epochs as the joint ones do in all four parts of `plan`, first
    those at the higher learning rate, with the same optimizer, batches and regularisation.
    """

    def __init__(
        self, name: str, plan: Plan, seed: int, progress: Progress, *, trainings: int = 1
    ) -> None:
        self._name = name
        self._plan = plan
        self._seed = seed
        self._progress = progress
        self._total = trainings * sum(plan.epochs)
        self._done = 0

    def train(
        self,
        network: nn.Module,
        loss: Callable[[Tensor], Tensor],
        items: int,
        validation_loss: Callable[[], Tensor] | None = None,
    ) -> None:
        """Train a network in place; it ends in eval mode.

        Args:
            network: on its device.
            loss: scalar loss of the items whose numbers `[B]` it is given.
            items: how many there are.
            validation_loss: where the plan keeps the best epoch: what it is the best by.

        Raises:
            TrainingError: the loss is no longer finite.
        """
        device = next(network.parameters()).device
        draw = torch.Generator(device=device).manual_seed(self._seed)
        optimizer = torch.optim.AdamW(
            network.parameters(), weight_decay=self._plan.weight_decay, fused=True
        )
        best, least = None, math.inf
        for part in sorted(parts_of(self._plan.epochs), key=lambda part: -part.learning_rate):
            for group in optimizer.param_groups:
                group["lr"] = part.learning_rate
            for _ in range(part.epochs):
                self._epoch(network, loss, items, optimizer, draw)
                if validation_loss is not None and self._plan.keep_best:
                    network.eval()
                    with torch.inference_mode():
                        reached = float(validation_loss())
                    if reached < least:
                        least = reached
                        best = {key: value.clone() for key, value in network.state_dict().items()}
                self._done += 1
                self._progress(self._name, self._done, self._total)
        if best is not None:
            network.load_state_dict(best)
        network.eval()

    def _epoch(
        self,
        network: nn.Module,
        loss: Callable[[Tensor], Tensor],
        items: int,
        optimizer: torch.optim.Optimizer,
        draw: torch.Generator,
    ) -> None:
        network.train()
        total = torch.zeros((), device=draw.device)
        order = torch.randperm(items, generator=draw, device=draw.device)
        for batch in torch.split(order, self._plan.batch_size):
            value = loss(batch)
            optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += value.detach()
        if not math.isfinite(total.item()):
            raise TrainingError(
                f"{self._name}: the loss is not finite any more: lower the learning rate or look "
                "at the prices"
            )


def head(inputs: Tensor, plan: Plan) -> Head:
    """Return a new network of Fig. 5 for such inputs `[N, width]`, on their device."""
    made = Head(inputs.shape[1], dropout=plan.dropout, input_dropout=plan.input_dropout)
    return made.to(inputs.device)


def trunk(inputs: Tensor, plan: Plan) -> tuple[nn.Module, int]:
    """Return the network of Fig. 5 without its last layer, and the width of what it gives."""
    return head(inputs, plan).layers[:-1], HIDDEN[-1]


def answers(network: nn.Module, inputs: Tensor) -> Tensor:
    """Return what a network in eval mode says of scaled columns `[N, width]`, without gradients."""
    with torch.inference_mode():
        return torch.cat([network(batch) for batch in torch.split(inputs, PREDICTION_BATCH)])
