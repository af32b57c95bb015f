"""Where the facts of a partition are kept, and in what order: the border to the table."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

_SUBJECT = b"l"
_DUE = b"d"
_DAY_BYTES = 4
_MARK = b"1"


class Subject(NamedTuple):
    """A listing of a seller. Facts of another seller about it are kept apart."""

    seller_id: str
    listing_id: str

    @property
    def prefix(self) -> bytes:
        """What the keys of its facts begin with; ids have no control characters."""
        return _SUBJECT + f"{self.seller_id}\0{self.listing_id}\0".encode()


class Change(NamedTuple):
    """One write of a partition's table; a value of None deletes."""

    partition: int
    key: bytes
    value: bytes | None


class Ledger(Protocol):
    """The table of each partition, in the order of its keys."""

    def range(self, partition: int, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values from a key on, in the order of the keys' bytes."""

    def write(self, changes: Iterable[Change]) -> None:
        """Write changes, in their order."""


def facts_of(ledger: Ledger, partition: int, subject: Subject) -> dict[bytes, bytes]:
    """Return the encoded facts of a listing by the fact's key."""
    prefix = subject.prefix
    found = {}
    for key, value in ledger.range(partition, prefix):
        if not key.startswith(prefix):
            break
        found[key[len(prefix) :]] = value
    return found


def due_key(day: int, subject: Subject) -> bytes:
    """Return the key under which a listing is found on a day (since 1970, UTC)."""
    return _DUE + day.to_bytes(_DAY_BYTES, "big") + subject.prefix


def due_change(partition: int, day: int, subject: Subject) -> Change:
    """Have a listing looked at again when a day is over."""
    return Change(partition, due_key(day, subject), _MARK)


class Due(NamedTuple):
    """A listing that is to be looked at when a day is over, and the key that says so."""

    day: int
    subject: Subject
    key: bytes


def due_before(ledger: Ledger, partition: int, day: int) -> Iterator[Due]:
    """Yield the listings to be looked at before a day, by day."""
    end = _DUE + day.to_bytes(_DAY_BYTES, "big")
    for key, _ in ledger.range(partition, _DUE):
        if key >= end:
            break
        seller_id, listing_id, _ = key[len(end) + len(_SUBJECT) :].decode().split("\0")
        when = int.from_bytes(key[len(_DUE) : len(end)], "big")
        yield Due(when, Subject(seller_id, listing_id), key)


def listings_of(ledger: Ledger, partition: int) -> int:
    """Count the days that listings of a partition are to be looked at: one each, as a rule."""
    count = 0
    for key, _ in ledger.range(partition, _DUE):
        if not key.startswith(_DUE):
            break
        count += 1
    return count
