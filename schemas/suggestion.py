"""The two answers to a listing, and how a price did once the thing was sold."""

from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator

from schemas.base import Category, Event, Id, UtcTime
from schemas.money import Currency, PriceMinor
from schemas.statistics import Statistics

_Share = Annotated[float, Field(ge=0.0, le=1.0)]
_CONFIDENCE = (
    "probability that the thing sells within the bundle's factor of the estimated price (1.65 "
    "unless the bundle was trained for another)"
)


class PriceSuggested(Event):
    """What to ask for the thing: a price, and a range that holds the sold price that often."""

    event_type: ClassVar[str] = "price.suggested"

    listing_id: Id
    seller_id: Id
    category: Category
    currency: Currency
    price_minor: PriceMinor
    low_minor: PriceMinor
    high_minor: PriceMinor
    range_probability: Annotated[_Share, Field(description="share of sold prices inside the range")]
    confidence: Annotated[_Share, Field(description=_CONFIDENCE)]
    statistics: Statistics
    model_version: Id
    listed_at: UtcTime
    control: bool | None = Field(
        default=None,
        description="true where it is held back by lot, to see what suggestions do to prices",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low_minor <= self.price_minor <= self.high_minor:
            raise ValueError("low_minor <= price_minor <= high_minor does not hold")
        return self


class ReuploadReason(StrEnum):
    """Why the photos do not carry enough to price the thing."""

    BLURRED = "blurred"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    LOW_RESOLUTION = "low_resolution"
    UNREADABLE = "unreadable"
    UNAVAILABLE = "unavailable"
    INADEQUATE_INFORMATION = "inadequate_information"


class Reason(BaseModel):
    """One reason with a hint for the seller; `image` is the index of the photo it is about."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: ReuploadReason
    hint: Annotated[str, Field(min_length=1, max_length=512)]
    image: Annotated[int, Field(ge=0, le=11, strict=True)] | None = None


class ReuploadRequested(Event):
    """The honest answer when the photos do not suffice: reasons by weight, the first one leads."""

    event_type: ClassVar[str] = "reupload.requested"

    listing_id: Id
    seller_id: Id
    category: Category
    reasons: Annotated[tuple[Reason, ...], Field(min_length=1, max_length=16), FailFast()]
    confidence: _Share | None = Field(default=None, description=_CONFIDENCE)
    model_version: Id
    listed_at: UtcTime


class SuggestionScored(Event):
    """A suggestion beside what the thing then sold for; a refund does not change it."""

    event_type: ClassVar[str] = "suggestion.scored"

    listing_id: Id
    seller_id: Id
    category: Category
    transaction_id: Id
    currency: Currency
    suggested_minor: PriceMinor | None = Field(
        default=None, description="absent where a better photo was asked for"
    )
    sold_minor: PriceMinor
    log_error: float | None = Field(
        default=None, description="natural log of suggested price over sold price"
    )
    within_20_percent: bool | None = None
    inside_range: bool | None = None
    days_to_sale: Annotated[float, Field(ge=0.0)]
    model_version: Id
    sold_at: UtcTime
    control: bool | None = Field(
        default=None, description="true where the suggestion was held back by lot"
    )
