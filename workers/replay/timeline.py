"""A dataset as the events that a marketplace would have published, in the order of publishing."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from models.dataset.rows import Dataset, ListingRow, SaleRow
from models.dataset.telling import told_sales
from schemas.image import ImageReference
from schemas.listing import ListingCreated
from schemas.sale import ItemSold, SaleReversed
from schemas.topics import LISTING_CREATED, TRANSACTIONS
from schemas.validation import describe

START = datetime(2026, 1, 5, tzinfo=UTC)
"""When the first listing of a dataset without times is put up, unless another start is given."""

SALE_DELAY = timedelta(days=1)
LISTING_INTERVAL = timedelta(seconds=1)

_MAX_ID, _MAX_LABEL, _MAX_TITLE = 128, 256, 1024  # characters, as in the contract
_MAX_LABELS, _MAX_IMAGES = 64, 12


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """An event and where it goes.

    Attributes:
        topic: name in the contract.
        event: what happened.
        event_id: the `ce_id`, a function of the dataset's name and the row's ids alone.
        time: when it happened: the `ce_time` and the record's timestamp.
        publish_at: when it became known, never before the event that precedes it in the list.
            Later than `time` for a sale that was told late.
        subject: the id of the listing it is about, the `ce_subject`.
    """

    topic: str
    event: ListingCreated | ItemSold | SaleReversed
    event_id: str
    time: datetime
    publish_at: datetime
    subject: str

    @property
    def key(self) -> bytes:
        """The record key: the seller's id in UTF-8."""
        return self.event.seller_id.encode()

    @property
    def timestamp_ms(self) -> int:
        """The record timestamp in milliseconds since 1970."""
        return (self.time - _EPOCH) // timedelta(milliseconds=1)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timeline(
    dataset: Dataset,
    *,
    start: datetime = START,
    sale_delay: timedelta = SALE_DELAY,
    on_skip: Callable[[str], None] = lambda _: None,
) -> list[TimedEvent]:
    """Return the events of a dataset in the order in which they are to be published.

    That is by time, and at one moment the listing first, which so does not see the sale. A row of
    the sales file that is earlier than a row before it was told late: it keeps its time, and is
    published after the row before it.

    A dataset without sales file has its listings' prices as sales: at `sold_at` where the dataset
    knows such times, else `sale_delay` after the listing. In a dataset of which no listing
    has a time, the listings are a second apart from `start`, in the order of the file.
    A row without seller gets one of its own, `unknown-<listing_id>`, the same for the sales
    of a listing as for the listing.

    Args:
        dataset: what was read.
        start: time of the first listing where the dataset has no times.
        sale_delay: from listing to sale where the dataset does not know it.
        on_skip: told, for each row that cannot be an event, why: no category, currency, photo or
            time, a price of zero, or what the contract does not allow.
    """
    timed = any(row.listed_at is not None for row in dataset.listings)
    listed_at = {
        row.listing_id: row.listed_at if timed else start + number * LISTING_INTERVAL
        for number, row in enumerate(dataset.listings)
    }
    ordered: list[tuple[datetime, int, int, TimedEvent]] = []
    for number, row in enumerate(dataset.listings):
        event = _listing(dataset.name, row, listed_at[row.listing_id], on_skip)
        if event is not None:
            ordered.append((event.publish_at, 0, number, event))
    if dataset.sales:
        rows = told_sales(dataset)
    else:
        rows = [(row, row.sold_at) for row in _own_sales(dataset, listed_at, sale_delay)]
    for number, (sale, told_at) in enumerate(rows):
        event = _sale(dataset.name, sale, told_at, on_skip)
        if event is not None:
            ordered.append((told_at, 1, number, event))
    ordered.sort(key=lambda item: item[:3])
    return [event for *_, event in ordered]


def _listing(
    dataset: str, row: ListingRow, listed_at: datetime | None, on_skip: Callable[[str], None]
) -> TimedEvent | None:
    where = f"listing {row.listing_id}"
    if row.category is None or row.currency is None or not row.images or listed_at is None:
        missing = {
            "category": row.category,
            "currency": row.currency,
            "photo": row.images or None,
            "time": listed_at,
        }
        on_skip(f"{where} has no {' and no '.join(k for k, v in missing.items() if v is None)}")
        return None
    labels = [label for label in row.attributes if len(label) <= _MAX_LABEL]
    pairs = [pair for pair in row.specifications.items() if max(map(len, pair)) <= _MAX_LABEL]
    try:
        event = ListingCreated(
            listing_id=row.listing_id,
            seller_id=_seller(row.seller_id, row.listing_id),
            category=row.category,
            currency=row.currency,
            images=tuple(ImageReference(uri=path.as_uri()) for path in row.images[:_MAX_IMAGES]),
            listed_at=listed_at,
            brand=row.brand and row.brand[:_MAX_LABEL],
            attributes=tuple(labels[:_MAX_LABELS]),
            specifications=dict(pairs[:_MAX_LABELS]),
            title=row.title and row.title[:_MAX_TITLE],
        )
    except ValidationError as error:
        on_skip(f"{where}: {describe(error)}")
        return None
    event_id = _event_id(dataset, "listing", row.listing_id)
    return TimedEvent(LISTING_CREATED, event, event_id, listed_at, listed_at, row.listing_id)


def _sale(
    dataset: str,
    row: SaleRow,
    told_at: datetime,
    on_skip: Callable[[str], None],
) -> TimedEvent | None:
    where = f"sale {row.transaction_id} of {row.listing_id}"
    if not row.reversed and (row.category is None or row.price_minor == 0):
        on_skip(f"{where} has {'no category' if row.category is None else 'a price of zero'}")
        return None
    event: ItemSold | SaleReversed
    try:
        if row.reversed:
            event = SaleReversed(
                transaction_id=row.transaction_id,
                listing_id=row.listing_id,
                seller_id=_seller(row.seller_id, row.listing_id),
                reversed_at=row.sold_at,
            )
        else:
            event = ItemSold(
                transaction_id=row.transaction_id,
                listing_id=row.listing_id,
                seller_id=_seller(row.seller_id, row.listing_id),
                category=row.category or "",
                price_minor=row.price_minor,
                currency=row.currency,
                sold_at=row.sold_at,
            )
    except ValidationError as error:
        on_skip(f"{where}: {describe(error)}")
        return None
    kind = "reversal" if row.reversed else "sale"
    event_id = _event_id(dataset, kind, row.transaction_id, row.listing_id)
    return TimedEvent(TRANSACTIONS, event, event_id, row.sold_at, told_at, row.listing_id)


def _own_sales(
    dataset: Dataset, listed_at: dict[str, datetime | None], sale_delay: timedelta
) -> Iterator[SaleRow]:
    knows_sales = any(row.sold_at is not None for row in dataset.listings)
    for row in dataset.listings:
        listed = listed_at[row.listing_id]
        sold_at = row.sold_at
        if not knows_sales and listed is not None:
            sold_at = listed + sale_delay
        if row.price_minor is None or row.currency is None or sold_at is None:
            continue  # not sold, as far as is known
        yield SaleRow(
            transaction_id=row.listing_id,
            listing_id=row.listing_id,
            seller_id=row.seller_id,
            category=row.category,
            price_minor=row.price_minor,
            currency=row.currency,
            sold_at=sold_at,
            reversed=False,
        )


def _seller(seller_id: str | None, listing_id: str) -> str:
    if seller_id is not None:
        return seller_id
    own = f"unknown-{listing_id}"
    return own if len(own) <= _MAX_ID else f"unknown-{hashlib.sha256(own.encode()).hexdigest()}"


def _event_id(dataset: str, kind: str, *ids: str) -> str:
    # "\0" is in no id, so that no two rows can run together to one text
    digest = hashlib.sha256("\0".join((dataset, kind, *ids)).encode()).hexdigest()
    return f"{kind}-{digest[:32]}"
