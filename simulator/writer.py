"""Writes a market in the dataset format, with the truth beside it in oracle.csv."""

import csv
import json
from collections.abc import Iterable, Sequence
from math import exp
from pathlib import Path

from schemas.base import rfc3339
from schemas.dataset import LISTING_COLUMNS, SALE_COLUMNS, VALUE_SEPARATOR
from simulator.events import Outcome
from simulator.listings import Listing
from simulator.price_law import PriceLaw

ORACLE_COLUMNS = (
    "listing_id",
    "oracle_price",
    "noise_sigma",
    "photo_fault",
    "irrational",
    "photo_log_price",
)


def write_tables(
    folder: Path,
    name: str,
    law: PriceLaw,
    market: Sequence[tuple[Listing, Outcome, float]],
) -> int:
    """Write the three tables, then dataset.json; return the number of rows in sales.csv.

    `market` has each listing with its outcome and the log of its oracle price, in time order.
    """
    _write(folder / "listings.csv", LISTING_COLUMNS, (_listing(*row[:2], law) for row in market))
    _write(folder / "oracle.csv", ORACLE_COLUMNS, (_truth(*row, law) for row in market))
    events = [event for _, outcome, _ in market for event in outcome.events]
    events.sort(key=lambda event: (event.told_at, event.transaction_id))
    sales = (
        (
            event.transaction_id,
            event.listing.listing_id,
            event.listing.seller.seller_id,
            event.listing.category,
            event.price,
            law.currency,
            rfc3339(event.sold_at),
        )
        for event in events
    )
    _write(folder / "sales.csv", SALE_COLUMNS, sales)
    description = {
        "name": name,
        "currency": law.currency,
        "description": "Simulated marketplace with a known price law; oracle.csv has the truth. "
        "Prices, refunds, repeats and late rows are wrong or odd on purpose.",
        "licence": "CC0-1.0",
        "listings": len(market),
        "sales": len(events),
    }
    text = json.dumps(description, indent=2) + "\n"
    (folder / "dataset.json").write_text(text, encoding="utf-8")
    return len(events)


def _listing(listing: Listing, outcome: Outcome, law: PriceLaw) -> tuple[str, ...]:
    return (
        listing.listing_id,
        listing.seller.seller_id,
        listing.category,
        VALUE_SEPARATOR.join(listing.images),
        outcome.price or "",
        law.currency,
        rfc3339(listing.listed_at),
        rfc3339(outcome.sold_at) if outcome.sold_at is not None else "",
        listing.brand or "",
        VALUE_SEPARATOR.join(listing.attributes),
        VALUE_SEPARATOR.join(listing.specifications),
        listing.title,
    )


def _truth(listing: Listing, outcome: Outcome, log_oracle: float, law: PriceLaw) -> tuple[str, ...]:
    return (
        listing.listing_id,
        law.text(exp(log_oracle), digits=12),
        f"{law.noise_sigma(listing.thing.category):.4f}",
        listing.fault or "",
        str(int(outcome.irrational)),
        f"{law.log_photo(listing.thing):.6f}",
    )


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)
