"""What must have come of the input topics, counted anew with plain dicts and Python integers.

It shares no code with the worker. It takes the committed records as they lie in the topics, so
whatever a producer or a broker did to them is the same for both. The sales of a partition are
counted in the order of their offsets; listings do not change what is counted.
"""

import json
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from schemas.partitioner import partition_for
from tests.torture.stream import BAD, LISTINGS, MARK, TRANSACTIONS

SOLD, REVERSED, PARKED = "sold", "reversed", "parked"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""

ScopeName = tuple[str, str, str]
"""Kind (seller, category or global), currency, and name within the kind."""


class Entry(NamedTuple):
    """A record as it was read; `topic` is the contract's name."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]

    @property
    def place(self) -> Place:
        return self.topic, self.partition, self.offset


@dataclass(slots=True)
class Book:
    """What one partition has counted: every price by scope, sorted, and every sale by its ids."""

    prices: dict[ScopeName, list[int]] = field(default_factory=dict)
    sales: dict[tuple[str, str], tuple[Any, ...]] = field(default_factory=dict)
    of_listing: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def take(self, fields: dict[str, Any]) -> bool:
        """Count a sale or a reversal; says False where it contradicts a sale that is known."""
        ids = fields["listing_id"], fields["transaction_id"]
        known = self.sales.get(ids)
        if "reversed_at" in fields:
            if known is None:
                self._put(ids, (PARKED,))  # since when it waits is the order of arrival
            elif known[0] == SOLD:
                self._count(known[1:], removed=True)
                self._put(ids, (REVERSED, *known[1:]))
            return True
        content = (
            milliseconds(fields["sold_at"]),
            fields["price_minor"],
            fields["currency"],
            fields["seller_id"],
            fields["category"],
        )
        if known is None:
            self._count(content)
            self._put(ids, (SOLD, *content))
        elif known[0] == PARKED:
            self._put(ids, (REVERSED, *content))
        else:
            return known[1:] == content
        return True

    def seller_prices(self, seller: str, currency: str, *, without: str) -> list[int]:
        """Return a seller's sold prices, sorted, without the sales of one listing."""
        prices = self.prices.get(("seller", currency, seller), [])
        own = [self.sales[ids] for ids in self.of_listing.get(without, ())]
        taken = [s[2] for s in own if s[0] == SOLD and (s[3], s[4]) == (currency, seller)]
        if taken:
            prices = list(prices)
            for price in taken:
                del prices[bisect_left(prices, price)]
        return prices

    def _put(self, ids: tuple[str, str], record: tuple[Any, ...]) -> None:
        if ids not in self.sales:
            self.of_listing.setdefault(ids[0], []).append(ids)
        self.sales[ids] = record

    def _count(self, content: tuple[Any, ...], *, removed: bool = False) -> None:
        _, price, currency, seller, category = content
        for kind, name in (("seller", seller), ("category", category), ("global", "")):
            prices = self.prices.setdefault((kind, currency, name), [])
            if removed:
                del prices[bisect_left(prices, price)]
            else:
                insort(prices, price)


@dataclass(slots=True)
class Recount:
    """What should lie in the topics and the stores.

    Attributes:
        books: by partition.
        bad: the places of records that have to be set aside.
        strays: by place of a record in a wrong partition, its topic, home and event id.
        listings: by partition, those that have to be enriched there, in order of their offsets.
        at_home: how often each (topic, partition, event id) lies in its seller's partition.
    """

    books: dict[int, Book]
    bad: set[Place] = field(default_factory=set)
    strays: dict[Place, tuple[str, int, bytes]] = field(default_factory=dict)
    listings: dict[int, list[Entry]] = field(default_factory=dict)
    at_home: dict[tuple[str, int, bytes], int] = field(default_factory=dict)


def recount(entries: Iterable[Entry], partitions: int) -> Recount:
    """Count the records of both input topics, those of a partition in order of their offsets."""
    result = Recount({partition: Book() for partition in range(partitions)})
    for entry in entries:
        if entry.headers[MARK] == BAD:
            result.bad.add(entry.place)
            continue
        fields = json.loads(entry.value or b"")
        home = partition_for(fields["seller_id"].encode(), partitions)
        name = entry.topic, home, entry.headers["ce_id"]
        if home != entry.partition:
            result.strays[entry.place] = name
            continue
        result.at_home[name] = result.at_home.get(name, 0) + 1
        if entry.topic == LISTINGS:
            result.listings.setdefault(home, []).append(entry)
        elif not result.books[home].take(fields):
            result.bad.add(entry.place)
    return result


def sales_in_order(entries: Sequence[Entry], partition: int, result: Recount) -> list[Entry]:
    """Return the records of a partition that its book was made of, in order of their offsets."""
    return [
        entry
        for entry in entries
        if (entry.topic, entry.partition) == (TRANSACTIONS, partition)
        and entry.place not in result.bad
        and entry.place not in result.strays
    ]


def seller_numbers(prices: Sequence[int]) -> tuple[int, ...]:
    """Return quartiles, mean and count of sorted prices as an enriched listing has them."""
    count = len(prices)
    whole, rest = divmod(sum(prices), count)
    quartiles = [_middle(prices[-(-count * k // 4) - 1]) for k in (1, 2, 3)]
    return (*quartiles, whole + (2 * rest >= count), count)


def milliseconds(moment: str) -> int:
    """Return an event's time in whole milliseconds since 1970."""
    return (datetime.fromisoformat(moment) - EPOCH) // timedelta(milliseconds=1)


def _middle(price: int) -> int:
    """Return the middle of the bucket: exact below 256, then 128 buckets to each octave."""
    width = 1 << max(0, price.bit_length() - 8)
    return price // width * width + width // 2
