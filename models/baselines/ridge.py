"""Ridge regressions: on what is known of sales alone, and on the photos too."""

import numpy as np
from sklearn.linear_model import RidgeCV

from models.baselines.networks import ScaledItems
from models.baselines.predicted_error import Columns, PredictedError, prices_last
from models.dataset.splits import Indices
from models.joint.inputs import Rows
from models.training_data import TrainingData

ALPHAS = tuple(np.logspace(0, 4, 9))  # the best one when each item is left out in turn


def statistics_only() -> PredictedError:
    """Return the baseline that never looks at a photo: statistics and levels of the category.

    It prices at what such things sold for, and is unsure of a category where that varies.
    """
    return _ridge("statistics only", photos=False)


def ridge() -> PredictedError:
    """Return ridge regression on image features, statistics and levels."""
    return _ridge("ridge", photos=True)


def _ridge(name: str, *, photos: bool) -> PredictedError:
    return PredictedError(
        name,
        columns=lambda data, _: _scaled(data, photos=photos),
        price=lambda _, __: RidgeCV(ALPHAS),
        error=lambda _: RidgeCV(ALPHAS),
    )


def _scaled(data: TrainingData, *, photos: bool) -> Columns:
    items = ScaledItems(data)
    features = data.photos.features.shape[1]

    def columns(listings: Indices) -> Rows:
        every = prices_last(items.columns(listings).cpu().numpy(), features)
        return every if photos else every[:, features:]

    return columns
