"""The measures of 4.2 and some for people: how far suggested prices are from sold prices."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from models.evaluation.prediction import Prediction


class PriceErrors(BaseModel):
    """How close suggested prices are to sold prices; None where there are too few of them.

    With e = ln(suggested / sold): `male` is the mean of |e| (Eq. 5, Mean Absolute Log Error),
    `rmsle` the root of the mean of e^2 (Eq. 6, Root Mean Square Log Error), `r2` the share of the
    variance of ln(sold) that is explained, `within_20` the share whose suggested price is within
    20 % of the sold one, `within_x2` the share between its half and its double.
    """

    model_config = ConfigDict(frozen=True)

    male: float | None
    rmsle: float | None
    r2: float | None
    within_20: float | None
    within_x2: float | None


class RangeCoverage(BaseModel):
    """How often the range of an accepted listing holds its sold price.

    `median_width` is the median of ln(high / low).
    """

    model_config = ConfigDict(frozen=True)

    nominal: float
    coverage: float | None
    median_width: float | None


class Metrics(BaseModel):
    """What an evaluation found.

    `listings` are all rows, `priced` those with a rational price and an estimate, `accepted` those
    answered with a price, of whatever price; `coverage` is accepted / listings. The errors of
    `all` are over the priced ones, those of `accepted_only` over the accepted among them.
    """

    model_config = ConfigDict(frozen=True)

    listings: int
    priced: int
    accepted: int
    coverage: float
    all: PriceErrors
    accepted_only: PriceErrors
    interval: RangeCoverage


def measure(
    predictions: Sequence[Prediction], sold_minor: Sequence[int | None], *, nominal: float
) -> Metrics:
    """Compare predictions with sold prices in the same minor units.

    Args:
        predictions: one for each listing.
        sold_minor: sold price of each listing; None where it is not known or not rational.
        nominal: the probability that the ranges were made for.
    """
    accepted = np.array([p.accepted for p in predictions], dtype=np.bool_)
    known = np.array(
        [
            p.estimate is not None and sold is not None
            for p, sold in zip(predictions, sold_minor, strict=True)
        ],
        dtype=np.bool_,
    )
    table = np.array(
        [
            (p.estimate.price_minor, p.estimate.low_minor, p.estimate.high_minor, sold)
            if p.estimate is not None and sold is not None
            else (1, 1, 1, 1)
            for p, sold in zip(predictions, sold_minor, strict=True)
        ],
        dtype=np.float64,
    ).reshape(-1, 4)
    price, low, high, sold_price = table.T
    both = known & accepted
    inside = (low <= sold_price) & (sold_price <= high)
    return Metrics(
        listings=len(predictions),
        priced=int(known.sum()),
        accepted=int(accepted.sum()),
        coverage=float(accepted.mean()) if len(accepted) else 0.0,
        all=price_errors(price[known], sold_price[known]),
        accepted_only=price_errors(price[both], sold_price[both]),
        interval=RangeCoverage(
            nominal=nominal,
            coverage=float(inside[both].mean()) if both.any() else None,
            median_width=float(np.median(np.log(high[both] / low[both]))) if both.any() else None,
        ),
    )


def price_errors(suggested: npt.NDArray[np.float64], sold: npt.NDArray[np.float64]) -> PriceErrors:
    """Return the errors of suggested prices `[N]` against sold prices `[N]`, both above 0."""
    if not len(sold):
        return PriceErrors(male=None, rmsle=None, r2=None, within_20=None, within_x2=None)
    error = np.log(suggested / sold)
    spread = float(((np.log(sold) - np.log(sold).mean()) ** 2).sum())
    return PriceErrors(
        male=float(np.abs(error).mean()),
        rmsle=float(np.sqrt((error**2).mean())),
        r2=1.0 - float((error**2).sum()) / spread if spread > 0 else None,
        within_20=float((np.abs(suggested / sold - 1) <= 0.2).mean()),
        within_x2=float((np.abs(error) <= np.log(2)).mean()),
    )
