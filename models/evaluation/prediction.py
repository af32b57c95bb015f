"""What a bundle answers to the listings of a dataset, decided as the live system does."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from models.dataset.photos import ListingPhotos
from models.dataset.rows import ListingRow
from models.errors import ModelsError
from models.pricer import Estimate, Pricer
from schemas.money import minor_unit_digits
from schemas.statistics import Statistics
from schemas.suggestion import ReuploadReason

PREDICTION_COLUMNS = (
    "listing_id",
    "decision",
    "price",
    "low",
    "high",
    "confidence",
    "reason",
)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one listing.

    `reason` is why a better photo is asked for, None where a price is suggested. `estimate` is
    what the networks say, also of a listing that is not accepted; None where no photo could be
    read. `sound` tells whether there was a photo without a fault for the gate to judge.
    """

    listing_id: str
    estimate: Estimate | None
    reason: ReuploadReason | None
    sound: bool

    @property
    def accepted(self) -> bool:
        """Tell whether a price is suggested."""
        return self.reason is None


def predict(
    pricer: Pricer,
    listings: Sequence[ListingRow],
    photos: ListingPhotos,
    statistics: Sequence[Statistics],
) -> list[Prediction]:
    """Answer listings: the faults of photos decide first, then the gate.

    A listing without a sound photo is asked for a better one for its worst fault. One that the
    gate refuses is told the worst fault of the photos that were left out, if any were, else that
    the photos do not show enough.

    Statistics are taken as they are: where no sale was known they stay unknown, since the
    bundle's snapshot may hold the very sale that is to be predicted.
    """
    categories = [listing.category for listing in listings]
    estimates = pricer.estimate(photos.features, statistics, categories, fall_back=False)
    answers = []
    for item, (listing, estimate) in enumerate(zip(listings, estimates, strict=True)):
        refused = not photos.sound[item] or not estimate.qualified
        reason = photos.reasons[item] or ReuploadReason.INADEQUATE_INFORMATION
        answers.append(
            Prediction(
                listing_id=listing.listing_id,
                estimate=estimate if photos.readable[item] else None,
                reason=reason if refused else None,
                sound=bool(photos.sound[item]),
            )
        )
    return answers


def write_predictions(path: Path, predictions: Sequence[Prediction], currency: str) -> None:
    """Write one row for each prediction, prices in whole currency units.

    Raises:
        ModelsError: the file cannot be written.
    """
    digits = minor_unit_digits(currency)
    try:
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(PREDICTION_COLUMNS)
            for prediction in predictions:
                writer.writerow(_row(prediction, digits))
    except OSError as error:
        raise ModelsError(f"{path} cannot be written: {error.strerror}") from None


def _row(prediction: Prediction, digits: int) -> tuple[str, ...]:
    estimate = prediction.estimate
    numbers: tuple[str, ...] = ("", "", "", "")
    if estimate is not None:
        prices = (estimate.price_minor, estimate.low_minor, estimate.high_minor)
        numbers = (
            *(format(Decimal(price).scaleb(-digits), "f") for price in prices),
            f"{estimate.confidence:.6f}",
        )
    return (
        prediction.listing_id,
        "price" if prediction.accepted else "reupload",
        *numbers,
        prediction.reason.value if prediction.reason is not None else "",
    )
