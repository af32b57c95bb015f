"""Two regressions from a library: of the price, and of how far the price is off."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold, cross_val_predict

from models.baselines.protocol import Predictions
from models.dataset.splits import Indices
from models.joint.inputs import Rows
from models.joint.trainer import Plan, Progress
from models.training_data import TrainingData

FOLDS = 5
PRICE_COLUMNS = 12  # of the statistics: quartiles and mean of seller, category and all

Columns = Callable[[Indices], Rows]
"""Gives the columns `[N, width]` of listings, the last 12 the sold prices of the statistics."""


class Regressor(Protocol):
    """A regression of scikit-learn."""

    def fit(self, columns: Rows, targets: npt.NDArray[np.float64]) -> object:  # noqa: D102
        ...

    def predict(self, columns: Rows) -> npt.NDArray[np.floating]:  # noqa: D102
        ...


class PredictedError:
    """A price by one regression; the score is the |error| that a second one predicts, negated.

    The second learns from errors on items that the price was not fitted to (five folds). It does
    not see the sold prices of the statistics: without times they are all sales but the listing's
    own, so whatever can tell them apart finely enough reads the own price off them.

    Args:
        name: as printed.
        columns: makes the columns from the data and a seed.
        price: makes the first regression, not fitted, from a seed and the number of columns.
        error: makes the second.
    """

    def __init__(
        self,
        name: str,
        *,
        columns: Callable[[TrainingData, int], Columns],
        price: Callable[[int, int], Regressor],
        error: Callable[[int], Regressor],
    ) -> None:
        self.name = name
        self._make_columns = columns
        self._make_price = price
        self._make_error = error

    def fit(  # noqa: D102
        self, data: TrainingData, *, delta: float, seed: int, plan: Plan, progress: Progress
    ) -> None:
        del delta, plan  # nothing here depends on the share, and these are no networks
        self._columns = self._make_columns(data, seed)
        inputs = self._columns(data.train)
        targets = data.log_prices[data.train].astype(np.float64)
        progress(self.name, 1, 4)
        self._price = self._make_price(seed, inputs.shape[1])
        self._price.fit(inputs, targets)
        progress(self.name, 2, 4)
        folds = KFold(min(FOLDS, len(targets)), shuffle=True, random_state=seed)
        held_out = cross_val_predict(
            self._make_price(seed, inputs.shape[1]), inputs, targets, cv=folds
        )
        progress(self.name, 3, 4)
        self._error = self._make_error(seed)
        self._error.fit(inputs[:, :-PRICE_COLUMNS], np.abs(targets - held_out))
        progress(self.name, 4, 4)

    def predict(self, items: Indices) -> Predictions:  # noqa: D102
        inputs = self._columns(items)
        errors = self._error.predict(inputs[:, :-PRICE_COLUMNS])
        return self._price.predict(inputs).astype(np.float64), -errors.astype(np.float64)


def prices_last(rows: Rows, features: int) -> Rows:
    """Return raw or scaled columns `[N, width]` with the sold prices behind all others.

    Args:
        rows: in the order of `input_rows`.
        features: how many columns are of the photos.
    """
    after = features + PRICE_COLUMNS
    return np.hstack([rows[:, :features], rows[:, after:], rows[:, features:after]])
