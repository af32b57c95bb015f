"""What can be compared: whatever learns a price, and how sure it is of it."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.dataset.splits import Indices
from models.joint.trainer import Plan, Progress
from models.training_data import TrainingData

Predictions = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


class Baseline(Protocol):
    """A price and a score for every listing, learnt from the training part alone.

    The validation part may choose between epochs. The test part is for whoever compares, and so
    is the threshold of the score.

    Attributes:
        name: as printed in tables.
    """

    name: str

    def fit(
        self, data: TrainingData, *, delta: float, seed: int, plan: Plan, progress: Progress
    ) -> None:
        """Learn. The same seed gives the same answers on a CPU.

        Args:
            data: the parts of a dataset.
            delta: share of listings to be answered, in (0, 1]; of use to some.
            seed: of weights, batches and whatever else is drawn.
            plan: epochs and regularisation of the joint networks; a network trains as long.
            progress: told after each step.

        Raises:
            TrainingError: training came to no good end.
        """
        ...

    def predict(self, items: Indices) -> Predictions:
        """Return natural log prices (whole units) and scores `[N]` of listings of the data.

        The higher a score, the surer; only the order of scores means something.
        """
        ...
