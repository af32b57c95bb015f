"""The statistics of every listing counted anew from the two input topics, by plain sorted lists.

This shares no code with the stats worker on purpose: what both get is right, or both are wrong in
the same way. What the numbers shall be is said in docs/decisions (the integer histogram), in
docs/events.md and in the paper (footnote 2).
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.cloudevents import decode
from schemas.errors import SchemaError
from schemas.listing import ListingCreated
from schemas.sale import ItemSold, SaleReversed
from workers.demo.logs import LogEntry

ScopeName = tuple[str, str, str]
"""Kind (seller, category or global), currency, and name within the kind."""


@dataclass(slots=True)
class Recount:
    """What should lie in the topics.

    Attributes:
        statistics: for each listing that can be read, by its event's id, the JSON that its
            enriched event should carry as `statistics`.
        bad_listings: offsets of records of `listing.created` that cannot be read.
        bad_transactions: the same of `transactions`, and those that contradict an earlier sale.
    """

    statistics: dict[str, dict[str, Any]] = field(default_factory=dict)
    bad_listings: set[int] = field(default_factory=set)
    bad_transactions: set[int] = field(default_factory=set)


def recount(transactions: Sequence[LogEntry], listings: Sequence[LogEntry]) -> Recount:
    """Count anew from the two input topics, each of one partition, in the order of offsets.

    The two are merged as the worker has to: of the two records that are next, the one with
    the earlier timestamp goes first, and at one timestamp the listing.
    """
    result = Recount()
    book = _Book()
    for entry, is_listing in _merged(transactions, listings):
        accepted = (ListingCreated,) if is_listing else (ItemSold, SaleReversed)
        try:
            event, envelope = decode(list(entry.headers.items()), entry.value, accepted)
        except SchemaError:
            (result.bad_listings if is_listing else result.bad_transactions).add(entry.offset)
            continue
        if isinstance(event, ListingCreated):
            result.statistics[envelope.id] = book.statistics(event)
        elif isinstance(event, SaleReversed):
            book.reverse(event)
        elif isinstance(event, ItemSold) and not book.sell(event):
            result.bad_transactions.add(entry.offset)
    return result


def bucket_middle(price: int) -> int:
    """Return what stands for a price in a quartile.

    Prices below 256 minor units stand for themselves. Above, each octave (from a power of two to
    the next) is cut into 128 buckets of equal width, and the middle of the bucket stands for
    the prices in it, rounded up where it lies between two.
    """
    if price < 256:
        return price
    octave = 256
    while octave * 2 <= price:
        octave *= 2
    width = octave // 128
    return price // width * width + width // 2


def _merged(
    transactions: Sequence[LogEntry], listings: Sequence[LogEntry]
) -> Iterator[tuple[LogEntry, bool]]:
    sale = listing = 0
    while sale < len(transactions) or listing < len(listings):
        listing_next = sale == len(transactions) or (
            listing < len(listings)
            and listings[listing].timestamp_ms <= transactions[sale].timestamp_ms
        )
        if listing_next:
            yield listings[listing], True
            listing += 1
        else:
            yield transactions[sale], False
            sale += 1


@dataclass(slots=True)
class _Book:
    """Every sold price, sorted, by scope; and every sale by listing and transaction."""

    prices: dict[ScopeName, list[int]] = field(default_factory=dict)
    sales: dict[str, dict[str, ItemSold]] = field(default_factory=dict)
    reversed: set[tuple[str, str]] = field(default_factory=set)

    def sell(self, sale: ItemSold) -> bool:
        """Count a sale once; says False where another sale has its ids."""
        of_listing = self.sales.setdefault(sale.listing_id, {})
        known = of_listing.get(sale.transaction_id)
        if known is not None:
            return _content(known) == _content(sale)
        of_listing[sale.transaction_id] = sale
        if (sale.listing_id, sale.transaction_id) not in self.reversed:
            for scope in _scopes(sale):
                insort(self.prices.setdefault(scope, []), sale.price_minor)
        return True

    def reverse(self, reversal: SaleReversed) -> None:
        ids = (reversal.listing_id, reversal.transaction_id)
        if ids in self.reversed:
            return
        self.reversed.add(ids)
        sale = self.sales.get(reversal.listing_id, {}).get(reversal.transaction_id)
        if sale is not None:
            for scope in _scopes(sale):
                _remove(self.prices[scope], sale.price_minor)

    def statistics(self, listing: ListingCreated) -> dict[str, Any]:
        wider: dict[str, Any] | None = None
        found: dict[str, Any] = {}
        for kind, name in (
            ("global", ""),
            ("category", listing.category),
            ("seller", listing.seller_id),
        ):
            prices = self._without_own((kind, listing.currency, name), listing.listing_id)
            if prices:
                wider_now = _numbers(prices, kind)
            elif wider is not None:
                wider_now = {**wider, "count": 0}
            else:
                wider_now = {"q1": 0, "q2": 0, "q3": 0, "mean": 0, "count": 0, "source": "none"}
            found["overall" if kind == "global" else kind] = wider = wider_now
        return {"currency": listing.currency, **found}

    def _without_own(self, scope: ScopeName, listing_id: str) -> list[int]:
        prices = self.prices.get(scope, [])
        own = [
            sale.price_minor
            for sale in self.sales.get(listing_id, {}).values()
            if (listing_id, sale.transaction_id) not in self.reversed and scope in _scopes(sale)
        ]
        if own:
            prices = list(prices)
            for price in own:
                _remove(prices, price)
        return prices


def _content(sale: ItemSold) -> Mapping[str, Any]:
    # the millisecond is what a record's time resolves to
    milliseconds = sale.sold_at.replace(microsecond=sale.sold_at.microsecond // 1000 * 1000)
    return {**sale.model_dump(), "sold_at": milliseconds}


def _scopes(sale: ItemSold) -> tuple[ScopeName, ...]:
    return (
        ("global", sale.currency, ""),
        ("category", sale.currency, sale.category),
        ("seller", sale.currency, sale.seller_id),
    )


def _remove(prices: list[int], price: int) -> None:
    del prices[bisect_left(prices, price)]


def _numbers(prices: Sequence[int], source: str) -> dict[str, Any]:
    count = len(prices)
    quartiles = [
        bucket_middle(prices[-(-count * quarter // 4) - 1])  # nearest rank: ceil(q n), from 1
        for quarter in (1, 2, 3)
    ]
    whole, rest = divmod(sum(prices), count)
    return {
        "q1": quartiles[0],
        "q2": quartiles[1],
        "q3": quartiles[2],
        "mean": whole + (2 * rest >= count),  # rounded half up
        "count": count,
        "source": source,
    }
