"""What the live listings were answered, beside what the things then sold for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np

from models.dataset.cleaning import PriceLimits
from models.evaluation.metrics import price_errors
from schemas.cloudevents import decode
from schemas.errors import SchemaError
from schemas.listing import ListingCreated
from schemas.sale import ItemSold, SaleReversed
from schemas.suggestion import PriceSuggested, ReuploadRequested
from schemas.topics import LISTING_CREATED, PRICE_SUGGESTED, REUPLOAD_REQUESTED, TRANSACTIONS
from workers.demo.logs import LogEntry


@dataclass(frozen=True, slots=True)
class Outcome:
    """A listing, its answer, and what it sold for in minor units; None where it did not sell.

    A sale that was taken back is no sale.
    """

    listing: ListingCreated
    answer: PriceSuggested | ReuploadRequested
    sold_minor: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """How good the suggestions were. Shares are in 0..1, None where nothing sold.

    `scored` listings were answered with a price and sold for a rational one. Over these: `male`,
    the mean absolute log error; `within_20`, the share within 20 % of the sold price; `r2`,
    the share of the variance of the log price explained; `within_range`, the share that sold
    within the suggested range. `coverage` is the share of all answers that is a price.
    """

    coverage: float
    scored: int
    male: float | None
    within_20: float | None
    r2: float | None
    within_range: float | None

    def rounded(self) -> dict[str, int | float | None]:
        """Return the figures by name, shares to four digits."""
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def outcomes(logs: Mapping[str, Sequence[LogEntry]]) -> list[Outcome]:
    """Put listings, answers and sales together, in the order of the listings.

    Args:
        logs: records of the topics with listings, sales and the two kinds of answers.
    """
    answers: dict[str, PriceSuggested | ReuploadRequested] = {}
    for topic in (PRICE_SUGGESTED, REUPLOAD_REQUESTED):
        for entry in logs[topic]:
            event, _ = decode(
                entry.headers.items(), entry.value, (PriceSuggested, ReuploadRequested)
            )
            answers[entry.event_id or ""] = cast(PriceSuggested | ReuploadRequested, event)
    sold = _sold(logs[TRANSACTIONS])
    found = []
    for entry in logs[LISTING_CREATED]:
        answer = answers.get(entry.event_id or "")
        if answer is None:
            continue  # set aside
        try:
            event, _ = decode(entry.headers.items(), entry.value, (ListingCreated,))
        except SchemaError:
            continue
        listing = cast(ListingCreated, event)
        found.append(Outcome(listing, answer, sold.get(listing.listing_id)))
    return found


def figures(outcomes: Sequence[Outcome], limits: PriceLimits) -> Figures:
    """Measure the answers.

    Args:
        outcomes: all answered listings.
        limits: which sold prices are rational; the others are of no suggestion's making.
    """
    priced = [item.answer for item in outcomes if isinstance(item.answer, PriceSuggested)]
    rows = np.array(
        [
            (
                item.answer.price_minor,
                item.answer.low_minor,
                item.answer.high_minor,
                item.sold_minor,
            )
            for item in outcomes
            if isinstance(item.answer, PriceSuggested) and limits.contain(item.sold_minor)
        ],
        dtype=np.float64,
    ).reshape(-1, 4)
    suggested, low, high, sold = rows.T
    errors = price_errors(suggested, sold)
    inside = (low <= sold) & (sold <= high)
    return Figures(
        coverage=len(priced) / len(outcomes) if outcomes else 0.0,
        scored=len(rows),
        male=errors.male,
        within_20=errors.within_20,
        r2=errors.r2,
        within_range=float(inside.mean()) if len(rows) else None,
    )


def reasons(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Count the requests for other photos by their leading reason."""
    return Counter(
        item.answer.reasons[0].code.value
        for item in outcomes
        if isinstance(item.answer, ReuploadRequested)
    )


def _sold(transactions: Sequence[LogEntry]) -> dict[str, int]:
    sales: dict[tuple[str, str], int] = {}
    taken_back: set[tuple[str, str]] = set()
    for entry in transactions:
        try:
            event, _ = decode(entry.headers.items(), entry.value, (ItemSold, SaleReversed))
        except SchemaError:
            continue
        if isinstance(event, ItemSold):
            sales.setdefault((event.listing_id, event.transaction_id), event.price_minor)
        elif isinstance(event, SaleReversed):
            taken_back.add((event.listing_id, event.transaction_id))
    return {ids[0]: price for ids, price in sales.items() if ids not in taken_back}
