"""Quantile regression whose width is the gate: narrow is sure."""

import torch
from torch import Tensor, nn

from models.baselines.networks import Epochs, ScaledItems, answers, trunk
from models.baselines.protocol import Predictions
from models.dataset.splits import Indices
from models.joint.trainer import Plan, Progress
from models.training_data import TrainingData

LEVELS = (0.1, 0.5, 0.9)


class QuantileWidth:
    """The network of Fig. 5 with three outputs: the quantiles 0.1, 0.5 and 0.9 of log price.

    Trained by the pinball loss (Koenker and Bassett, 1978). The price is the median, the score
    the distance of the outer two, negated.
    """

    name = "quantile width"

    def fit(  # noqa: D102
        self, data: TrainingData, *, delta: float, seed: int, plan: Plan, progress: Progress
    ) -> None:
        del delta  # widths are the same for any share
        torch.manual_seed(seed)
        items = ScaledItems(data)
        shared, width = trunk(items.inputs, plan)
        network = nn.Sequential(shared, nn.Linear(width, len(LEVELS))).to(items.device)
        Epochs(self.name, plan, seed, progress).train(
            network,
            lambda batch: pinball_loss(network(items.inputs[batch]), items.prices[batch]),
            len(items.prices),
            lambda: pinball_loss(network(items.validation_inputs), items.validation_prices),
        )
        self._items, self._network = items, network

    def predict(self, items: Indices) -> Predictions:  # noqa: D102
        found = answers(self._network, self._items.columns(items)).double().cpu().numpy()
        low, median, high = found.T
        return median + self._items.mean, low - high


def pinball_loss(quantiles: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of `max(q e, (q - 1) e)`, e = target - quantile: `[N, 3]`, `[N]` -> scalar.

    It is least where a share q of the targets lies below the quantile of level q.
    """
    levels = torch.tensor(LEVELS, device=quantiles.device)
    errors = targets[:, None] - quantiles
    return torch.maximum(levels * errors, (levels - 1) * errors).mean()
