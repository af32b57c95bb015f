"""Gradient boosting of trees on the same columns, as scikit-learn has it."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor

from models.baselines.predicted_error import PRICE_COLUMNS, Columns, PredictedError, prices_last
from models.dataset.splits import Indices
from models.joint.inputs import Rows
from models.training_data import TrainingData

COMPONENTS = 64  # of the image features: trees go through every column at every node


def boosting() -> PredictedError:
    """Return the baseline: principal components of the features, statistics, levels.

    The price may only rise with the sold prices of the statistics: trees take every column at any
    scale, and made of a trace of the own price in them a price of their own (R2 of -4.9 on
    Gumtree, with statistics that left out the own sale alone).
    """
    return PredictedError(
        "gradient boosting",
        columns=_components,
        price=lambda seed, width: _trees(
            seed, monotonic_cst=[0] * (width - PRICE_COLUMNS) + [1] * PRICE_COLUMNS
        ),
        error=_trees,
    )


def _trees(seed: int, monotonic_cst: list[int] | None = None) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        learning_rate=0.05,
        max_iter=200,
        max_leaf_nodes=12,
        max_features=0.3,
        early_stopping=False,  # else scikit-learn decides by the number of items
        monotonic_cst=monotonic_cst,
        random_state=seed,
    )


def _components(data: TrainingData, seed: int) -> Columns:
    features = data.photos.features.shape[1]
    of_training = data.rows[data.train, :features]
    known = np.isfinite(data.rows[data.train]).any(axis=0)
    components = PCA(min(COMPONENTS, *of_training.shape), random_state=seed).fit(of_training)

    def columns(listings: Indices) -> Rows:
        # NaN stays, trees know it, but a column of nothing else they cannot divide
        rows = prices_last(np.where(known, data.rows[listings], 0), features)
        return np.hstack([components.transform(rows[:, :features]), rows[:, features:]])

    return columns
