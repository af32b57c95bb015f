"""One training example: a listing, our answer, and what came of it; and its Parquet columns."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict

from schemas.base import Id, UtcTime
from schemas.image import ImageReference
from schemas.money import PriceMinor
from schemas.statistics import Statistics


class Decision(StrEnum):
    """What the suggest worker said of a listing."""

    PRICE = "price"
    REUPLOAD = "reupload"
    NONE = "none"  # no answer is known


class Outcome(StrEnum):
    """What came of a listing."""

    SOLD = "sold"
    REVERSED = "reversed"  # sold, and wholly taken back
    CENSORED = "censored"  # not sold in the days that are waited for


class Example(BaseModel):
    """One listing with the statistics as served, the answer, and the outcome.

    Attributes:
        listing_id: names the example: of several with one id the one of the highest `revision`
            counts.
        revision: how many events about the listing are in it. They only grow in number, so what
            knows more wins, whatever was read twice or in another order.
        known_at: the time of the latest of these events, UTC. Its date is the partition.
        seller_id: whose it is.
        category: path of the listing.
        currency: of all prices, which are in minor units.
        images: as listed, the main photo first.
        brand: as listed, as are `attributes` and `specifications`.
        listed_at: UTC.
        statistics: as they stood when it was listed: what the networks saw.
        decision: what we said.
        suggested_minor: the price, between `low_minor` and `high_minor`; of a control, what would
            have been said.
        confidence: of the answer.
        reasons: why a better photo was asked for, the weightiest first.
        model_version: whose answer it is.
        control: the answer was held back by lot, so it cannot have moved the price.
        outcome: what came of it.
        sold_minor: what was paid, less what was paid back in part; None where nothing was sold.
        transaction_id: of the sale.
        sold_at: UTC.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    listing_id: Id
    revision: int
    known_at: UtcTime
    seller_id: Id
    category: str
    currency: str
    images: tuple[ImageReference, ...]
    brand: str | None = None
    attributes: tuple[str, ...] = ()
    # Arrow gives a map as a list of pairs
    specifications: Annotated[dict[str, str], BeforeValidator(dict)] = {}
    listed_at: UtcTime
    statistics: Statistics
    decision: Decision
    suggested_minor: PriceMinor | None = None
    low_minor: PriceMinor | None = None
    high_minor: PriceMinor | None = None
    confidence: float | None = None
    reasons: tuple[str, ...] = ()
    model_version: Id | None = None
    control: bool = False
    outcome: Outcome
    sold_minor: PriceMinor | None = None
    transaction_id: Id | None = None
    sold_at: UtcTime | None = None

    @property
    def days_to_sale(self) -> float | None:
        """Days from listing to sale, None where nothing was sold."""
        return None if self.sold_at is None else _days(self.listed_at, self.sold_at)


def _days(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds() / 86_400


_TIME = pa.timestamp("us", "UTC")
_SCOPE = pa.struct(
    [(name, pa.int64()) for name in ("q1", "q2", "q3", "mean", "count")] + [("source", pa.string())]
)

SCHEMA = pa.schema(
    [
        pa.field("listing_id", pa.string(), nullable=False),
        pa.field("revision", pa.int64(), nullable=False),
        pa.field("known_at", _TIME, nullable=False),
        pa.field("seller_id", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("currency", pa.string(), nullable=False),
        pa.field(
            "images",
            pa.list_(
                pa.struct(
                    [
                        ("uri", pa.string()),
                        ("sha256", pa.string()),
                        ("content_type", pa.string()),
                        ("size_bytes", pa.int64()),
                    ]
                )
            ),
            nullable=False,
        ),
        pa.field("brand", pa.string()),
        pa.field("attributes", pa.list_(pa.string()), nullable=False),
        pa.field("specifications", pa.map_(pa.string(), pa.string()), nullable=False),
        pa.field("listed_at", _TIME, nullable=False),
        pa.field(
            "statistics",
            pa.struct(
                [
                    ("currency", pa.string()),
                    ("seller", _SCOPE),
                    ("category", _SCOPE),
                    ("overall", _SCOPE),
                ]
            ),
            nullable=False,
        ),
        pa.field("decision", pa.string(), nullable=False),
        pa.field("suggested_minor", pa.int64()),
        pa.field("low_minor", pa.int64()),
        pa.field("high_minor", pa.int64()),
        pa.field("confidence", pa.float64()),
        pa.field("reasons", pa.list_(pa.string()), nullable=False),
        pa.field("model_version", pa.string()),
        pa.field("control", pa.bool_(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("sold_minor", pa.int64()),
        pa.field("transaction_id", pa.string()),
        pa.field("sold_at", _TIME),
    ],
    metadata={"secondsight.examples": "1"},
)
"""The columns of a part, in their order. `secondsight.examples` is the version of this format."""


def to_table(examples: Sequence[Example]) -> pa.Table:
    """Return examples as the columns of a part."""
    return pa.Table.from_pylist([example.model_dump() for example in examples], SCHEMA)


def from_table(table: pa.Table) -> list[Example]:
    """Return the examples of a part.

    Raises:
        ValueError: a row is no example.
    """
    return [Example.model_validate(row) for row in table.to_pylist()]
