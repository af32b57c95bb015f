"""One bundle on one dataset: predictions and what they are worth."""

from collections.abc import Callable
from dataclasses import dataclass

from models.dataset.cleaning import PriceLimits
from models.dataset.photos import ListingPhotos, look_at_photos
from models.dataset.rows import Dataset
from models.errors import DatasetError
from models.evaluation.history import statistics_for
from models.evaluation.metrics import Metrics, measure
from models.evaluation.oracle import read_oracle
from models.evaluation.prediction import Prediction, predict
from models.extractors.cache import FeatureCache
from models.pricer import Pricer
from schemas.money import minor_unit_digits


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The answers to all listings of a dataset, and their measures.

    `sold_minor` is the price that each listing was measured by, None where it was not measured;
    `photos` is what was found in their photos.
    """

    predictions: list[Prediction]
    metrics: Metrics
    sold_minor: list[int | None]
    photos: ListingPhotos


def evaluate(
    pricer: Pricer,
    dataset: Dataset,
    *,
    limits: PriceLimits | None = None,
    cache: FeatureCache | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Answer every listing of a dataset as the live system would, and measure the answers.

    Args:
        pricer: the bundle.
        dataset: its listings need no price; those that have one are measured.
        limits: prices to measure by; by default the rational ones of the bundle's training.
        cache: image features that need not be computed again.
        progress: called with photos done and photos in all.

    Raises:
        DatasetError: there are no listings, or none of their prices is in the bundle's currency.
    """
    listings = dataset.listings
    if not listings:
        raise DatasetError(f"{dataset.folder} has no listings")
    currencies = {row.currency for row in listings if row.price_minor is not None}
    if currencies and pricer.currency not in currencies:
        raise DatasetError(
            f"{dataset.folder} has prices in {', '.join(sorted(map(str, currencies)))}; the bundle "
            f"prices in {pricer.currency}"
        )
    photos = look_at_photos(
        listings, pricer.images, extractor=pricer.images, cache=cache, progress=progress
    )
    predictions = predict(pricer, listings, photos, statistics_for(dataset, pricer.bundle))
    measured = limits or pricer.bundle.manifest.price_limits
    sold = [
        row.price_minor
        if row.currency == pricer.currency and measured.contain(row.price_minor)
        else None
        for row in listings
    ]
    metrics = measure(
        predictions,
        sold,
        nominal=pricer.range_probability,
        epsilon=pricer.bundle.manifest.confidence.epsilon,
        categories=[row.category for row in listings],
        digits=minor_unit_digits(pricer.currency),
        oracle=read_oracle(dataset.folder),
    )
    return Evaluation(predictions, metrics, sold, photos)
