"""Separate training, which 3.3 argues against: first the price, then which prices are good."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.baselines.networks import Epochs, ScaledItems, answers, head
from models.baselines.protocol import Predictions
from models.dataset.splits import Indices
from models.joint.trainer import Plan, Progress
from models.training_data import TrainingData

CROSS_FITTED_MEMBERS = 4  # where the joint plan has one, as the paper's has


class SeparateTraining:
    """A price network on all items, then a classifier of the items that it prices best.

    Positive are the delta share of the training part with the smallest |residual|. Price and
    classification network are those of Fig. 5, and each trains as long as its joint counterpart;
    the classifier by cross-entropy, its score is the logit.

    Args:
        cross_fitted: False is "separately" taken to the letter: one price network, and its
            residuals on the very items that it was trained on. On a small part those say which
            items it remembers. True takes what the joint training takes: several price networks
            whose mean is the price, each leaving out every M-th item, and the residual of an
            item is that of the one that left it out. Only so do the two trainings differ in
            nothing but being joint.
    """

    def __init__(self, *, cross_fitted: bool) -> None:
        self._cross_fitted = cross_fitted
        self.name = f"separate, {'cross-fitted' if cross_fitted else 'in-sample'} residuals"

    def fit(  # noqa: D102
        self, data: TrainingData, *, delta: float, seed: int, plan: Plan, progress: Progress
    ) -> None:
        torch.manual_seed(seed)
        items = ScaledItems(data)
        count = len(items.prices)
        members = 1
        if self._cross_fitted:
            members = plan.members if plan.members > 1 else CROSS_FITTED_MEMBERS
        prices = _Members(items.inputs, members, plan)
        left_out_by = torch.arange(count, device=items.device) % members
        trains = torch.ones(count, members, device=items.device)
        if members > 1:
            trains.scatter_(1, left_out_by[:, None], 0.0)
        trains /= trains.mean(dim=0)

        def price_loss(batch: Tensor) -> Tensor:
            errors: Tensor = items.prices[batch, None] - prices(items.inputs[batch])
            return (trains[batch] * errors**2).mean(dim=0).sum()

        def validation_loss() -> Tensor:
            found: Tensor = prices(items.validation_inputs).mean(dim=1)
            return ((items.validation_prices - found) ** 2).mean()

        epochs = Epochs(self.name, plan, seed, progress, trainings=2)
        epochs.train(prices, price_loss, count, validation_loss)

        of_members = answers(prices, items.inputs)
        judged = of_members.gather(1, left_out_by[:, None]).squeeze(1)
        residuals = (items.prices - judged).abs()
        positives = max(1, round(delta * count))
        positive = (residuals <= residuals.kthvalue(positives).values).to(residuals.dtype).clone()
        gate = head(items.inputs, plan)

        def gate_loss(batch: Tensor) -> Tensor:
            return F.binary_cross_entropy_with_logits(gate(items.inputs[batch]), positive[batch])

        epochs.train(gate, gate_loss, count)
        self._items, self._prices, self._gate = items, prices, gate

    def predict(self, items: Indices) -> Predictions:  # noqa: D102
        inputs = self._items.columns(items)
        prices = answers(self._prices, inputs).mean(dim=1).double() + self._items.mean
        return prices.cpu().numpy(), answers(self._gate, inputs).double().cpu().numpy()


class _Members(nn.Module):
    """Several price networks: `[N, width] -> [N, members]`."""

    def __init__(self, inputs: Tensor, members: int, plan: Plan) -> None:
        super().__init__()
        self.heads = nn.ModuleList(head(inputs, plan) for _ in range(members))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.stack([network(inputs) for network in self.heads], dim=1)
