"""The memory of sales: what each counted for, so that it counts once and can be taken back.

A sale is named by listing and transaction, since one payment may cover several listings. A
record starts with its state; a sale adds what it counted for, and keeps it after a reversal so
that a late copy of the sale is still recognised. A reversal whose sale is not known yet is
parked under the same key. After a correction of its category a sale keeps the former ones, so
that late copies of those are recognised, too.
"""

import struct
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import NamedTuple

from schemas.plain import PlainSale
from schemas.sale import ItemSold, SaleReversed
from stats_store.errors import CorruptRecordError

_SEPARATOR = "\0"  # ids are printable, so it is in none of them
_SOLD = struct.Struct("<qq3s")  # price in minor units, sold at in ms since 1970, currency
_PARKED = struct.Struct("<q")  # waits since, in ms since 1970
_PARKED_PART = struct.Struct("<qq")  # the same, and what was refunded in minor units
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DAY_MS = 86_400_000


class SaleState(bytes, Enum):
    """What is known of a sale, as the first byte of its record."""

    SOLD = b"s"
    NARROW = b"n"  # sold, and counted for its seller alone: the seller's cap was reached
    REVERSED = b"r"
    PARKED = b"p"


class SaleOutcome(Enum):
    """What a sale did to the statistics."""

    COUNTED = "counted"
    DUPLICATE = "duplicate"
    ANNULLED = "annulled"  # its reversal came first
    CORRECTED = "corrected"  # the same sale in another category


class ReversalOutcome(Enum):
    """What a reversal did to the statistics."""

    TAKEN_BACK = "taken_back"
    TAKEN_BACK_IN_PART = "taken_back_in_part"
    PARKED = "parked"  # its sale is not known yet
    DUPLICATE = "duplicate"


class SaleRecord(NamedTuple):
    """A remembered sale, or a reversal that waits for one (then only state and time are set).

    `at_ms` is the time of the sale, in ms since 1970; where a reversal is parked, the day since
    which it waits, 0 where no day was known then. What was
    refunded is None where nothing was, and where a parked reversal takes all back.
    """

    state: SaleState
    at_ms: int
    price_minor: int = 0
    currency: str = ""
    seller_id: str = ""
    category: str = ""
    former_categories: tuple[str, ...] = ()
    refunded_minor: int | None = None

    @property
    def counts(self) -> bool:
        """Whether its price is counted."""
        return self.state in (SaleState.SOLD, SaleState.NARROW)

    @property
    def day(self) -> int:
        """Its day, in days since 1970."""
        return day_of(self.at_ms)


Sold = ItemSold | PlainSale
"""A sale as the contract reads it, or as it is read where it is plain; both say the same."""


def sale_key(listing_id: str, transaction_id: str) -> bytes:
    """Return the key of a sale in the changelog and the store."""
    return f"s{listing_id}{_SEPARATOR}{transaction_id}".encode()


def listing_prefix(listing_id: str) -> bytes:
    """Return what the keys of all sales of a listing, and no other, start with."""
    return f"s{listing_id}{_SEPARATOR}".encode()


def listing_prefix_of(key: bytes) -> bytes:
    """Return the listing's prefix of the key of a sale."""
    return key[: key.index(0) + 1]


def milliseconds(moment: datetime) -> int:
    """Return a time in ms since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def day_of(at_ms: int) -> int:
    """Return the day of a time in ms since 1970, in days since then; 0 for what was before."""
    return max(0, at_ms // _DAY_MS)


def sold_content(sale: Sold, at_ms: int) -> bytes:
    """Return the record of a sale without its state: equal content, equal bytes."""
    names = f"{sale.seller_id}{_SEPARATOR}{sale.category}".encode()
    return _SOLD.pack(sale.price_minor, at_ms, sale.currency.encode()) + names


def with_state(state: SaleState, content: bytes) -> bytes:
    """Return the record of a sale in a state."""
    return state + content


def parked_record(reversal: SaleReversed, since_day: int) -> bytes:
    """Return the record of a reversal that waits for its sale since a day."""
    at_ms, refunded = since_day * _DAY_MS, reversal.refunded_minor
    content = _PARKED.pack(at_ms) if refunded is None else _PARKED_PART.pack(at_ms, refunded)
    return with_state(SaleState.PARKED, content)


def sold_record(sale: SaleRecord) -> bytes:
    """Return the record of a sale: its state, its content, and what became of it since."""
    names = [sale.seller_id, sale.category, *sale.former_categories]
    if sale.refunded_minor is not None:
        names += ["", str(sale.refunded_minor)]  # no category is empty
    content = _SOLD.pack(sale.price_minor, sale.at_ms, sale.currency.encode())
    return with_state(sale.state, content + _SEPARATOR.join(names).encode())


def state_of(record: bytes) -> SaleState:
    """Return the state of a record.

    Raises:
        CorruptRecordError: the record does not start with a state.
    """
    try:
        return SaleState(record[:1])
    except ValueError:
        raise CorruptRecordError(f"{record[:40]!r} is not the record of a sale") from None


def read_sale(record: bytes) -> SaleRecord:
    """Decode a record.

    Raises:
        CorruptRecordError: the bytes are not the record of a sale or of a parked reversal.
    """
    state = state_of(record)
    try:
        if state is SaleState.PARKED:
            if len(record) == 1 + _PARKED.size:
                return SaleRecord(state, *_PARKED.unpack(record[1:]))
            at_ms, refunded = _PARKED_PART.unpack(record[1:])
            return SaleRecord(state, at_ms, refunded_minor=refunded)
        price_minor, at_ms, currency = _SOLD.unpack_from(record, 1)
        names = record[1 + _SOLD.size :].decode().split(_SEPARATOR)
        refunded = int(names.pop()) if "" in names else None
        seller_id, category, *former = filter(None, names)
        return SaleRecord(
            state,
            at_ms,
            price_minor,
            currency.decode(),
            seller_id,
            category,
            tuple(former),
            refunded,
        )
    except (struct.error, UnicodeDecodeError, ValueError):
        raise CorruptRecordError(f"{record[:40]!r} is not the record of a sale") from None
