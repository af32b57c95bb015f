"""What is known of a listing: a set of facts that only grows, each under a key of its own.

Whatever is read twice, in another order or by two workers at once writes the same facts under the
same keys, so that no knowledge is lost and nothing has to be counted.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from schemas.listing import ListingEnriched


class Listed(msgspec.Struct, frozen=True, tag="l"):
    """It was listed. `event_id` names this version of the listing; `body` is the event as JSON."""

    event_id: str
    at: datetime
    body: bytes

    @property
    def key(self) -> bytes:
        """What it is kept under, beside the other facts of the listing."""
        return f"l{self.event_id}".encode()

    def listing(self) -> ListingEnriched:
        """Return the listing with its statistics as served."""
        return ListingEnriched.model_validate_json(self.body, strict=True)


class Answered(msgspec.Struct, frozen=True, kw_only=True, tag="a"):
    """A version of it was answered; without a price a better photo was asked for.

    `at` is when it was listed. Prices are in minor units of `currency`.
    """

    event_id: str
    at: datetime
    category: str
    model_version: str
    currency: str | None = None
    price_minor: int | None = None
    low_minor: int | None = None
    high_minor: int | None = None
    confidence: float | None = None
    reasons: tuple[str, ...] = ()
    control: bool = False

    @property
    def key(self) -> bytes:
        """What it is kept under, beside the other facts of the listing."""
        return f"a{self.event_id}".encode()


class Sold(msgspec.Struct, frozen=True, kw_only=True, tag="s"):
    """It was sold."""

    transaction_id: str
    at: datetime
    price_minor: int
    currency: str

    @property
    def key(self) -> bytes:
        """What it is kept under, beside the other facts of the listing."""
        return f"s{self.transaction_id}".encode()


class TakenBack(msgspec.Struct, frozen=True, kw_only=True, tag="r"):
    """A sale was taken back: wholly, or what has been paid back so far, in all."""

    transaction_id: str
    at: datetime
    refunded_minor: int | None = None

    @property
    def key(self) -> bytes:
        """What it is kept under; each amount is a fact of its own."""
        return f"r{self.transaction_id}\0{self.refunded_minor or 'all'}".encode()


class Censored(msgspec.Struct, frozen=True, tag="c"):
    """The days that are waited for a sale were over at `at` for what was listed at `listed_at`."""

    at: datetime
    listed_at: datetime

    key = b"c"


Fact = Listed | Answered | Sold | TakenBack | Censored

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Fact).decode


def joined(known: Mapping[bytes, bytes], new: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return all facts of two sets, each an encoded fact by its key.

    Where they differ under one key, which the contract does not allow, the lesser bytes count: so
    the result is the same in any order and however often.
    """
    both = dict(known)
    for key, value in new.items():
        before = both.get(key)
        if before is None or value < before:
            both[key] = value
    return both
