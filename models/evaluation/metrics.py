"""The measures of 4.2 and some for people: how far suggested prices are from sold prices."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from models.evaluation.oracle import OracleRegret, OracleRow, regret_to
from models.evaluation.prediction import Prediction
from models.evaluation.range_coverage import RangeCoverage, range_coverage
from models.evaluation.reliability import reliability
from models.evaluation.risk_coverage import risk_coverage


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


class SelectionRisk(BaseModel):
    """What the order of the scores is worth over all priced listings; None where there are none.

    Areas under the risk-coverage curve (AURC), of |e| and of e^2, and their excess over the order
    by the errors themselves. Listings without a sound photo come last. See
    `models.evaluation.risk_coverage`.
    """

    model_config = ConfigDict(frozen=True)

    male_area: float | None
    male_excess: float | None
    squared_area: float | None
    squared_excess: float | None


class ConfidenceBin(BaseModel):
    """Listings of like confidence: their mean confidence and what share of them came true."""

    model_config = ConfigDict(frozen=True)

    confidence: float
    frequency: float
    count: int


class ConfidenceErrors(BaseModel):
    """Whether the confidence means what it says, over priced listings with a sound photo.

    Comes true: the sold price lies within a factor `exp(epsilon)` of the suggested one. `error`
    is the expected calibration error. See `models.evaluation.reliability`.
    """

    model_config = ConfigDict(frozen=True)

    epsilon: float
    error: float | None
    bins: tuple[ConfidenceBin, ...]


class Metrics(BaseModel):
    """What an evaluation found.

    `listings` are all rows, `priced` those with a rational price and an estimate, `accepted` those
    answered with a price, of whatever price; `coverage` is accepted / listings. The errors of
    `all` are over the priced ones, those of `accepted_only` over the accepted among them. `oracle`
    is None where the dataset has no truth to compare with.
    """

    model_config = ConfigDict(frozen=True)

    listings: int
    priced: int
    accepted: int
    coverage: float
    all: PriceErrors
    accepted_only: PriceErrors
    interval: RangeCoverage
    risk_coverage: SelectionRisk
    confidence: ConfidenceErrors
    oracle: OracleRegret | None


def measure(
    predictions: Sequence[Prediction],
    sold_minor: Sequence[int | None],
    *,
    nominal: float,
    epsilon: float,
    categories: Sequence[str | None],
    digits: int = 2,
    oracle: Mapping[str, OracleRow] | None = None,
) -> Metrics:
    """Compare predictions with sold prices in the same minor units.

    Args:
        predictions: one for each listing.
        sold_minor: sold price of each listing; None where it is not known or not rational.
        nominal: the probability that the ranges were made for.
        epsilon: the log error that the confidence is about.
        categories: category path of each listing.
        digits: of the minor units; only the oracle, who speaks of whole ones, needs them.
        oracle: what is true of listings, by their id.
    """
    answered = [
        (prediction, prediction.estimate, sold, category)
        for prediction, sold, category in zip(predictions, sold_minor, categories, strict=True)
        if prediction.estimate is not None and sold is not None
    ]
    table = np.array(
        [
            (e.price_minor, e.low_minor, e.high_minor, sold, e.score, e.confidence)
            for _, e, sold, _ in answered
        ],
        dtype=np.float64,
    ).reshape(-1, 6)
    price, low, high, sold_price, score, confidence = table.T
    accepted = np.array([p.accepted for p, *_ in answered], dtype=np.bool_)
    sound = np.array([p.sound for p, *_ in answered], dtype=np.bool_)
    error = np.abs(np.log(price / sold_price))
    inside = (low <= sold_price) & (sold_price <= high)
    taken = sum(prediction.accepted for prediction in predictions)
    return Metrics(
        listings=len(predictions),
        priced=len(answered),
        accepted=taken,
        coverage=taken / len(predictions) if predictions else 0.0,
        all=price_errors(price, sold_price),
        accepted_only=price_errors(price[accepted], sold_price[accepted]),
        interval=range_coverage(
            inside[accepted],
            np.log(high[accepted] / low[accepted]),
            [category for prediction, *_, category in answered if prediction.accepted],
            nominal=nominal,
        ),
        risk_coverage=_selection(error, np.where(sound, score, -np.inf)),
        confidence=_confidence(confidence[sound], error[sound] <= epsilon, epsilon),
        oracle=None
        if oracle is None
        else regret_to(
            oracle,
            [prediction.listing_id for prediction, *_ in answered],
            np.log(price / 10**digits),
            np.log(sold_price / 10**digits),
            accepted,
        ),
    )


def _selection(errors: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]) -> SelectionRisk:
    if not len(errors):
        return SelectionRisk(
            male_area=None, male_excess=None, squared_area=None, squared_excess=None
        )
    absolute, squared = risk_coverage(errors, scores), risk_coverage(errors**2, scores)
    return SelectionRisk(
        male_area=absolute.area,
        male_excess=absolute.excess,
        squared_area=squared.area,
        squared_excess=squared.excess,
    )


def _confidence(
    claimed: npt.NDArray[np.float64], hit: npt.NDArray[np.bool_], epsilon: float
) -> ConfidenceErrors:
    if not len(hit):
        return ConfidenceErrors(epsilon=epsilon, error=None, bins=())
    curve = reliability(claimed, hit)
    return ConfidenceErrors(
        epsilon=epsilon,
        error=curve.error,
        bins=tuple(
            ConfidenceBin(confidence=mean, frequency=share, count=count)
            for mean, share, count in zip(
                curve.confidence, curve.frequency, curve.count, strict=True
            )
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
