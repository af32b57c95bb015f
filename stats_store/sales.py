"""The memory of sales: what each counted for, so that it counts once and can be taken back.

A sale is named by listing and transaction, since one payment may cover several listings. A
record starts with its state; a sale adds what it counted for, and keeps it after a reversal so
that a late copy of the sale is still recognised. A reversal whose sale is not known yet is
parked under the same key.
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
_PARKED = struct.Struct("<q")  # reversed at in ms since 1970
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class SaleState(Enum):
    """What is known of a sale; the value is the first byte of its record."""

    SOLD = ord("s")
    REVERSED = ord("r")
    PARKED = ord("p")


class SaleOutcome(Enum):
    """What a sale did to the statistics."""

    COUNTED = "counted"
    DUPLICATE = "duplicate"
    ANNULLED = "annulled"  # its reversal came first


class ReversalOutcome(Enum):
    """What a reversal did to the statistics."""

    TAKEN_BACK = "taken_back"
    PARKED = "parked"  # its sale is not known yet
    DUPLICATE = "duplicate"


class SaleRecord(NamedTuple):
    """A remembered sale, or a reversal that waits for one (then only state and time are set).

    `at_ms` is the time of the sale, of the reversal where it is parked, in ms since 1970.
    """

    state: SaleState
    at_ms: int
    price_minor: int = 0
    currency: str = ""
    seller_id: str = ""
    category: str = ""


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


def sold_content(sale: Sold) -> bytes:
    """Return the record of a sale without its state: equal content, equal bytes."""
    at_ms = (sale.sold_at - _EPOCH) // _MILLISECOND
    names = f"{sale.seller_id}{_SEPARATOR}{sale.category}".encode()
    return _SOLD.pack(sale.price_minor, at_ms, sale.currency.encode()) + names


def with_state(state: SaleState, content: bytes) -> bytes:
    """Return the record of a sale in a state."""
    return bytes((state.value,)) + content


def parked_record(reversal: SaleReversed) -> bytes:
    """Return the record of a reversal that waits for its sale."""
    at_ms = (reversal.reversed_at - _EPOCH) // _MILLISECOND
    return with_state(SaleState.PARKED, _PARKED.pack(at_ms))


def state_of(record: bytes) -> SaleState:
    """Return the state of a record.

    Raises:
        CorruptRecordError: the record does not start with a state.
    """
    try:
        return SaleState(record[0])
    except (IndexError, ValueError):
        raise CorruptRecordError(f"{record[:40]!r} is not the record of a sale") from None


def read_sale(record: bytes) -> SaleRecord:
    """Decode a record.

    Raises:
        CorruptRecordError: the bytes are not the record of a sale or of a parked reversal.
    """
    state = state_of(record)
    try:
        if state is SaleState.PARKED:
            (at_ms,) = _PARKED.unpack(record[1:])
            return SaleRecord(state, at_ms)
        price_minor, at_ms, currency = _SOLD.unpack_from(record, 1)
        seller_id, category = record[1 + _SOLD.size :].decode().split(_SEPARATOR)
        return SaleRecord(state, at_ms, price_minor, currency.decode(), seller_id, category)
    except (struct.error, UnicodeDecodeError, ValueError):
        raise CorruptRecordError(f"{record[:40]!r} is not the record of a sale") from None
