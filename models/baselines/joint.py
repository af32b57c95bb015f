"""The joint networks in the form of a baseline, so that one table has them beside the others."""

from models.baselines.protocol import Predictions
from models.dataset.splits import Indices
from models.head_training import train_heads
from models.joint.losses import PercentileLoss
from models.joint.trainer import Plan, Progress
from models.training_data import TrainingData


class Joint:
    """The percentile rule (Eq. 1), trained as for a bundle."""

    name = "joint"

    def fit(  # noqa: D102
        self, data: TrainingData, *, delta: float, seed: int, plan: Plan, progress: Progress
    ) -> None:
        self._heads = train_heads(
            data,
            PercentileLoss(delta=delta),
            plan,
            seed,
            lambda _, done, total: progress(self.name, done, total),
        )

    def predict(self, items: Indices) -> Predictions:  # noqa: D102
        return self._heads.answers(items)
