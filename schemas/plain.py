"""Reading sales that are plain, ten times as fast as the contract does.

Nearly every record of `transactions` is a sale in plain form: the headers and fields of the
contract and no others, printable text, times in UTC. Such a record is read here. Of any other
one nothing is said: `schemas.cloudevents.decode` reads it or says what is wrong with it. What is
read here the contract reads too, and the same; a test holds the two together.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

import msgspec

from schemas.base import MAX_EVENT_BYTES
from schemas.cloudevents import (
    CONTENT_TYPE,
    MAX_ATTRIBUTE_CHARACTERS,
    MAX_ID_CHARACTERS,
    SPEC_VERSION,
)
from schemas.currencies import MINOR_UNIT_DIGITS
from schemas.money import MAX_MINOR_UNITS
from schemas.sale import ItemSold

_MAX_CATEGORY_CHARACTERS = 512

_SPEC_VERSION = SPEC_VERSION.encode()
_CONTENT_TYPE = CONTENT_TYPE.encode()
_SOLD = ItemSold.ce_type().encode()
_utc_time = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z", re.ASCII
).fullmatch


_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARACTERS)]
_Category = Annotated[str, msgspec.Meta(min_length=1, max_length=_MAX_CATEGORY_CHARACTERS)]
_Price = Annotated[int, msgspec.Meta(ge=1, le=MAX_MINOR_UNITS)]


class PlainSale(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The fields of `schemas.sale.ItemSold`. `sold_at` is a time in UTC."""

    transaction_id: _Id
    listing_id: _Id
    seller_id: _Id
    category: _Category
    price_minor: _Price
    currency: str
    sold_at: Any


_decode = msgspec.json.Decoder(PlainSale).decode


def read_plain_sale(
    headers: Iterable[tuple[str, bytes | None]], value: bytes | None
) -> tuple[PlainSale, datetime] | None:
    """Return a sale and its `ce_time`, or None where the record is no sale in plain form."""
    found = dict(headers)
    if (
        value is None
        or len(value) > MAX_EVENT_BYTES
        or found.get("ce_type") != _SOLD
        or found.get("ce_specversion") != _SPEC_VERSION
        or found.get("content-type") != _CONTENT_TYPE
    ):
        return None
    event_id, source = found.get("ce_id"), found.get("ce_source")
    subject = found.get("ce_subject", b"-")
    if not (event_id and source and subject):
        return None
    names = event_id + source + subject
    try:
        sale = _decode(value)
        told: str = sale.sold_at
        time = (found["ce_time"] or b"").decode()
        sale.sold_at = _time(told)
        happened = sale.sold_at if time == told else _time(time)
        texts = sale.transaction_id + sale.listing_id + sale.seller_id + sale.category
        # Stricter than the contract, which takes more than what Python holds to be printable.
        printable = texts.isprintable() and names.isascii() and names.decode().isprintable()
    except (ValueError, TypeError, KeyError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    if (
        not printable
        or happened is None
        or sale.sold_at is None
        or sale.currency not in MINOR_UNIT_DIGITS
        or len(event_id) > MAX_ID_CHARACTERS
        or len(source) > MAX_ATTRIBUTE_CHARACTERS
        or len(subject) > MAX_ATTRIBUTE_CHARACTERS
    ):
        return None
    return sale, happened


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if _utc_time(text) else None
