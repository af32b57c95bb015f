"""The joint networks in the form of a baseline, so that one table has them beside the others."""

import torch

from models.baselines.protocol import Predictions
from models.dataset.splits import Indices
from models.joint.losses import PercentileLoss
from models.joint.trainer import Plan, Progress
from models.training import train_heads
from models.training_data import TrainingData


class Joint:
    """The percentile rule (Eq. 1), trained as for a bundle."""

    name = "joint"

    def fit(  # noqa: D102
        self, data: TrainingData, *, delta: float, seed: int, plan: Plan, progress: Progress
    ) -> None:
        network = train_heads(
            data,
            PercentileLoss(delta=delta),
            plan,
            seed,
            lambda _, done, total: progress(self.name, done, total),
        )
        self._rows, self._network = data.rows, network

    def predict(self, items: Indices) -> Predictions:  # noqa: D102
        with torch.inference_mode():
            prices, scores = self._network(torch.from_numpy(self._rows[items]))
        return prices.double().numpy(), scores.double().numpy()
