"""What the model learns from, and what then happens live: a dataset cut in two by time."""

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from models.dataset.rows import Dataset, ListingRow
from models.dataset.splits import has_times, split_listings
from schemas.topics import LISTING_CREATED, TRANSACTIONS
from workers.errors import BadDataError
from workers.replay.timeline import SALE_DELAY, START, TimedEvent, timeline

LIVE_SHARE = 1 / 3
# A simulated market lists for 60 days; the last sale is at most 30 days after its listing, and the
# last refund 14 days after its sale. One day is to spare.
PAST = timedelta(days=60 + 30 + 14 + 1)


@dataclass(frozen=True, slots=True)
class Parts:
    """A dataset cut in two at `cut`.

    Attributes:
        training: listings and sales before the cut; a price that was paid after it is taken out.
        history: the sales before the cut, as events.
        live: listings and sales from the cut on, as events.
        cut: the moment.
        left_out: why rows are in neither part, one sentence a row.
    """

    training: Dataset
    history: list[TimedEvent]
    live: list[TimedEvent]
    cut: datetime
    left_out: list[str]


def first_day() -> datetime:
    """Return when a simulated market begins, so that all of it has happened by this clock."""
    return min(START, datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - PAST)


def divide(dataset: Dataset, *, seed: int, most_listings: int | None = None) -> Parts:
    """Cut a dataset in two: two thirds of the listings to learn from, one third to stream.

    With times the later third is streamed, but for the listings whose photo was learnt from.
    Without times the part is drawn by `seed`, each part gets times of its own, and all of the first
    comes before all of the second. Listings that share a photo are never in both parts.

    Args:
        dataset: what was read; its listings are used that have a category, currency and photo.
        seed: of what is drawn.
        most_listings: of a larger dataset only so many are used, the first ones by time.

    Raises:
        BadDataError: there are too few listings to cut.
    """
    left_out: list[str] = []
    usable = {
        event.subject
        for event in timeline(dataset, start=first_day(), on_skip=left_out.append)
        if event.topic == LISTING_CREATED
    }
    rows = [row for row in dataset.listings if row.listing_id in usable]
    rows = _first(rows, most_listings, seed)
    if len(rows) < 3:
        raise BadDataError(f"{dataset.folder} has {len(rows)} usable listings; that is too few")
    photos = [[_photo_key(path) for path in row.images] for row in rows]
    split = split_listings(rows, photos, seed=seed, validation_share=0.0, test_share=LIVE_SHARE)
    train = [rows[index] for index in split.train.tolist()]
    live = [rows[index] for index in split.test.tolist()]
    if not train or not live:
        raise BadDataError(f"{dataset.folder}: its listings share photos and cannot be cut in two")
    if has_times(rows):
        repeated = {rows[index].listing_id for index in split.left_out.tolist()}
        parts = _by_time(replace(dataset, listings=rows), train, repeated, left_out.append)
    else:
        parts = _by_listing(dataset, train, live)
    return replace(parts, left_out=left_out)


def _by_time(
    dataset: Dataset,
    train: list[ListingRow],
    repeated: set[str],
    on_skip: Callable[[str], None],
) -> Parts:
    moments = sorted(row.listed_at for row in dataset.listings if row.listed_at is not None)
    cut = moments[round(len(moments) * (1 - LIVE_SHARE))]
    learnt = [
        _as_of(cut, row) for row in train if row.listed_at is not None and row.listed_at < cut
    ]
    now = datetime.now(UTC)
    events = timeline(dataset)
    for event in events:
        if event.time > now:
            on_skip(f"{event.event_id} lies in the future")
        elif event.topic == LISTING_CREATED and event.subject in repeated:
            on_skip(f"listing {event.subject} has a photo that was learnt from")
    events = [
        event
        for event in events
        if event.time <= now and (event.topic != LISTING_CREATED or event.subject not in repeated)
    ]
    return Parts(
        training=replace(
            dataset,
            listings=learnt,
            sales=[sale for sale in dataset.sales if sale.sold_at < cut],
        ),
        history=[
            event for event in events if event.publish_at < cut and event.topic == TRANSACTIONS
        ],
        live=[event for event in events if event.publish_at >= cut],
        cut=cut,
        left_out=[],
    )


def _by_listing(dataset: Dataset, train: list[ListingRow], live: list[ListingRow]) -> Parts:
    def only(rows: list[ListingRow]) -> Dataset:
        ids = {row.listing_id for row in rows}
        sales = [sale for sale in dataset.sales if sale.listing_id in ids]
        return replace(dataset, listings=rows, sales=sales)

    learnt = only(train)
    before = timeline(learnt, start=first_day())
    cut = before[-1].publish_at + SALE_DELAY
    return Parts(
        training=learnt,
        history=[event for event in before if event.topic == TRANSACTIONS],
        live=timeline(only(live), start=cut),
        cut=cut,
        left_out=[],
    )


def _as_of(cut: datetime, row: ListingRow) -> ListingRow:
    if row.sold_at is not None and row.sold_at >= cut:
        return replace(row, price_minor=None, sold_at=None)
    return row


def _first(rows: list[ListingRow], most: int | None, seed: int) -> list[ListingRow]:
    if most is None or len(rows) <= most:
        return rows
    if has_times(rows):
        return sorted(rows, key=lambda row: row.listed_at or START)[:most]
    kept = np.random.default_rng(seed).permutation(len(rows))[:most]
    return [rows[index] for index in sorted(kept.tolist())]


def _photo_key(path: Path) -> Hashable:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return path  # missing: whoever answers the listing will say so
