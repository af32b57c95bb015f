"""What happens to a listing: sold after a while or never, taken back, told twice or too late."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp, log

import numpy as np

from simulator.listings import Listing
from simulator.price_law import PriceLaw

NEVER_SOLD = 0.12
IRRATIONAL = 0.05
REFUNDED = 0.02
REFUND_BEFORE_SALE = 0.15  # of the refunds: two clocks that do not agree
TOLD_TWICE = 0.01
TOLD_LATE = 0.03
MEDIAN_HOURS = 30.0
LONGEST_HOURS = 30 * 24.0


@dataclass(frozen=True, slots=True)
class SaleEvent:
    """A row of sales.csv: `price` is text in whole units, negative where the sale is reversed.

    `told_at` orders the rows of the file; it is not written.
    """

    transaction_id: str
    listing: Listing
    price: str
    sold_at: datetime
    told_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a listing ended: price and time where it sold, and every row that tells of it."""

    price: str | None
    sold_at: datetime | None
    irrational: bool
    events: tuple[SaleEvent, ...]


def outcome_of(listing: Listing, law: PriceLaw, day: float, rng: np.random.Generator) -> Outcome:
    """Draw the outcome of a listing put up on that day (a fraction counts) of the simulation."""
    amount = exp(law.log_price(listing.thing, listing.seller.habit, day, rng))
    if rng.random() < NEVER_SOLD:
        return Outcome(None, None, False, ())
    irrational = bool(rng.random() < IRRATIONAL)
    price = law.text(law.irrational_price(rng), 6) if irrational else law.text(amount)
    hours = min(exp(float(rng.normal(log(MEDIAN_HOURS), 1.0))), LONGEST_HOURS)
    sold_at = listing.listed_at + _hours(max(hours, 0.2))
    transaction_id = f"{listing.listing_id}-t"
    late = _hours(rng.uniform(6, 48)) if rng.random() < TOLD_LATE else timedelta()
    sale = SaleEvent(transaction_id, listing, price, sold_at, sold_at + late)
    events = [sale]
    if rng.random() < REFUNDED:
        early = rng.random() < REFUND_BEFORE_SALE
        shift = -_hours(rng.uniform(0.02, 2)) if early else _hours(rng.uniform(12, 14 * 24))
        taken_back_at = sold_at + shift
        events.append(SaleEvent(transaction_id, listing, f"-{price}", taken_back_at, taken_back_at))
    if rng.random() < TOLD_TWICE:
        told_at = sale.told_at + _hours(rng.uniform(0, 24))
        events.append(SaleEvent(transaction_id, listing, price, sold_at, told_at))
    return Outcome(price, sold_at, irrational, tuple(events))


def _hours(hours: float) -> timedelta:
    return timedelta(seconds=int(hours * 3600))
