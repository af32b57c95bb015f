"""SelectiveNet: price, selection and auxiliary head on one trunk.

Geifman and El-Yaniv, "SelectiveNet: A Deep Neural Network with an Integrated Reject Option",
ICML 2019.
"""

import torch
from torch import Tensor, nn

from models.baselines.networks import Epochs, ScaledItems, answers, trunk
from models.baselines.protocol import Predictions
from models.dataset.splits import Indices
from models.joint.trainer import Plan, Progress
from models.training_data import TrainingData

COVERAGE_WEIGHT = 32.0  # lambda of their equation 2, as in all their experiments
SELECTIVE_SHARE = 0.5  # alpha of their equation 3, likewise
SELECTION_HIDDEN = 16  # of their selection head for regression


class SelectiveNet:
    """Their loss on squared errors of log price, with the trunk 1024 -> 256 of Fig. 5.

    `alpha (mean(g e^2) / mean(g) + lambda max(0, delta - mean(g))^2) + (1 - alpha) mean(a^2)`:
    e is the error of the price head, g in (0, 1) the selection, a the error of the auxiliary
    head, which keeps the trunk from seeing selected items alone. The price head learns from
    selected items alone, so it is the worse elsewhere. The score is the logit of g.

    Ours: no batch normalisation, as in the other networks here.
    """

    name = "SelectiveNet"

    def fit(  # noqa: D102
        self, data: TrainingData, *, delta: float, seed: int, plan: Plan, progress: Progress
    ) -> None:
        torch.manual_seed(seed)
        items = ScaledItems(data)
        network = _ThreeHeads(items.inputs, plan)

        def loss(inputs: Tensor, prices: Tensor) -> Tensor:
            price, logit, auxiliary = network(inputs).unbind(dim=1)
            selected = torch.sigmoid(logit)
            return selective_loss(
                (prices - price) ** 2, selected, (prices - auxiliary) ** 2, delta=delta
            )

        Epochs(self.name, plan, seed, progress).train(
            network,
            lambda batch: loss(items.inputs[batch], items.prices[batch]),
            len(items.prices),
            lambda: loss(items.validation_inputs, items.validation_prices),
        )
        self._items, self._network = items, network

    def predict(self, items: Indices) -> Predictions:  # noqa: D102
        found = answers(self._network, self._items.columns(items)).double().cpu().numpy()
        return found[:, 0] + self._items.mean, found[:, 1]


def selective_loss(errors: Tensor, selected: Tensor, auxiliary: Tensor, *, delta: float) -> Tensor:
    """Return their equation 3 for squared errors, selections in (0, 1) and squared errors `[N]`.

    `errors` are those of the price head, `auxiliary` those of the auxiliary head.
    """
    coverage = selected.mean()
    risk = (selected * errors).mean() / coverage
    missing = (delta - coverage).clamp(min=0)
    selective = risk + COVERAGE_WEIGHT * missing**2
    return SELECTIVE_SHARE * selective + (1 - SELECTIVE_SHARE) * auxiliary.mean()


class _ThreeHeads(nn.Module):
    """`[N, width] -> [N, 3]`: centred log price, logit of the selection, auxiliary log price."""

    def __init__(self, inputs: Tensor, plan: Plan) -> None:
        super().__init__()
        self.trunk, width = trunk(inputs, plan)
        self.price = nn.Linear(width, 1)
        self.selection = nn.Sequential(
            nn.Linear(width, SELECTION_HIDDEN), nn.ReLU(), nn.Linear(SELECTION_HIDDEN, 1)
        )
        self.auxiliary = nn.Linear(width, 1)
        self.to(inputs.device)

    def forward(self, inputs: Tensor) -> Tensor:
        shared = self.trunk(inputs)
        return torch.cat(
            [self.price(shared), self.selection(shared), self.auxiliary(shared)], dim=1
        )
