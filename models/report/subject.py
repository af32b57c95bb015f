"""What a report is about: the listings that its figures are over, and where they come from."""

from dataclasses import dataclass
from enum import Enum, auto
from math import inf, log

import numpy as np

from models.bundle.manifest import Manifest
from models.dataset.photos import ListingPhotos
from models.dataset.rows import Dataset, ListingRow
from models.errors import DatasetError
from models.evaluation.evaluate import Evaluation
from models.evaluation.metrics import Metrics, measure
from models.evaluation.oracle import read_oracle
from models.evaluation.prediction import Prediction
from models.training_data import prepare_training
from schemas.money import minor_unit_digits


class Origin(Enum):
    """What the listings of a report were to the training of the bundle."""

    OTHER_DATASET = auto()
    """The bundle was trained on a dataset of another name."""
    KEPT_APART = auto()
    """The test part of the dataset that the bundle was trained on."""
    TRAINED_ON = auto()
    """The whole dataset that the bundle was trained on; its figures flatter."""
    UNKNOWN = auto()
    """The dataset has the name of the one trained on; which listings were, cannot be told."""


@dataclass(frozen=True, slots=True)
class Item:
    """One listing and its answer; `sold_minor` is None where there is no price to measure by."""

    row: ListingRow
    prediction: Prediction
    sold_minor: int | None

    @property
    def error(self) -> float | None:
        """Natural log of suggested over sold price, None where one of them is not known."""
        estimate = self.prediction.estimate
        if estimate is None or self.sold_minor is None:
            return None
        return log(estimate.price_minor / self.sold_minor)

    @property
    def score(self) -> float:
        """By which listings are accepted; minus infinity where there is no sound photo."""
        estimate = self.prediction.estimate
        return estimate.score if estimate is not None and self.prediction.sound else -inf


@dataclass(frozen=True, slots=True)
class Subject:
    """The listings that a report is over.

    Attributes:
        dataset: all of it.
        origin: what the listings were to training.
        items: the listings, in their order.
        metrics: of these listings.
    """

    dataset: Dataset
    origin: Origin
    items: list[Item]
    metrics: Metrics

    @property
    def measured(self) -> list[Item]:
        """The listings with an estimate and a price to measure it by."""
        return [item for item in self.items if item.error is not None]

    @property
    def errors(self) -> list[float]:
        """Natural log of suggested over sold price of each of `measured`."""
        return [error for item in self.items if (error := item.error) is not None]

    @property
    def accepted(self) -> list[Item]:
        """Those of `measured` that are answered with a price."""
        return [item for item in self.measured if item.prediction.accepted]

    @property
    def refused(self) -> list[Item]:
        """The listings that are asked for a better photo, with a price or without."""
        return [item for item in self.items if not item.prediction.accepted]


def choose_subject(
    dataset: Dataset, manifest: Manifest, evaluation: Evaluation, *, all_listings: bool = False
) -> Subject:
    """Take the listings that the bundle was not trained on, where that can be told.

    Args:
        dataset: what was evaluated.
        manifest: of the bundle.
        evaluation: of the whole dataset.
        all_listings: take those that it was trained on, too.

    Raises:
        DatasetError: not one photo can be read, no listing has a price to measure by, or the
            oracle of the dataset cannot be read.
    """
    if not evaluation.photos.readable.any():
        raise DatasetError(
            f"{dataset.folder}: not one photo can be read, so there is nothing to report on"
        )
    chosen = list(range(len(dataset.listings)))
    origin = Origin.OTHER_DATASET
    if manifest.source.dataset == dataset.name:
        apart = _test_part(dataset, manifest, evaluation.photos)
        if apart is None:
            origin = Origin.UNKNOWN
        elif all_listings:
            origin = Origin.TRAINED_ON
        else:
            origin, chosen = Origin.KEPT_APART, apart
    items = [
        Item(dataset.listings[at], evaluation.predictions[at], evaluation.sold_minor[at])
        for at in chosen
    ]
    if all(item.sold_minor is None for item in items):
        raise DatasetError(
            f"{dataset.folder}: no listing has a price in {manifest.currency} that is rational by "
            "the bundle's limits, so there is nothing to compare its suggestions with"
        )
    metrics = measure(
        [item.prediction for item in items],
        [item.sold_minor for item in items],
        nominal=manifest.ranges.probability,
        epsilon=manifest.confidence.epsilon,
        categories=[item.row.category for item in items],
        digits=minor_unit_digits(manifest.currency),
        oracle=read_oracle(dataset.folder),
    )
    return Subject(dataset, origin, items, metrics)


def _test_part(dataset: Dataset, manifest: Manifest, photos: ListingPhotos) -> list[int] | None:
    """Divide the dataset as training did; None where what comes out is not what training had."""
    source, seed = manifest.source, manifest.training.get("seed")
    if not isinstance(seed, int) or source.listings != len(dataset.listings):
        return None
    try:
        data = prepare_training(dataset, dataset.listings, photos, seed=seed)
    except DatasetError:
        return None
    counts = (len(data.train), len(data.validation), len(data.split.test))
    same = counts == (source.train, source.validation, source.test)
    # rounding in the mean would move with the order, so equal counts and limits must do
    if not same or data.limits != manifest.price_limits or not source.test:
        return None
    return [int(at) for at in np.sort(data.split.test)]
