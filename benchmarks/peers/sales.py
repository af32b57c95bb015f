"""The sales that every peer counts, and what they come to: counted apart from all of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
from confluent_kafka import Producer

from schemas.cloudevents import encode
from schemas.sale import ItemSold

START = datetime(2026, 1, 1, tzinfo=UTC)
CURRENCY = "GBP"
BAD_VALUES = (  # each is refused for another reason
    b"\xff\xfe not JSON",
    b"{}",
    b'{"transaction_id":"t","listing_id":"l","seller_id":"s","category":"c","price_minor":-1}',
    b"",
)

Integers = npt.NDArray[np.int64]
Histogram = tuple[int, int, dict[int, int]]
"""Number of prices, their sum in minor units, and the number in each bucket that has any."""

Counted = dict[str, dict[str, Histogram]]
"""Histograms by key, by scope: `seller`, `category`, `global`."""


@dataclass(frozen=True)
class Sales:
    """Sales of Zipf sellers: seller r is drawn 1/r as often as the first. `[N]` each."""

    sellers: Integers
    categories: Integers
    prices: Integers

    @classmethod
    def draw(cls, sales: int, *, sellers: int, categories: int = 500, seed: int = 1) -> "Sales":
        """Draw them; the same arguments give the same sales."""
        rng = np.random.default_rng(seed)
        shares = np.cumsum(1 / np.arange(1, sellers + 1))
        return cls(
            np.searchsorted(shares, rng.random(sales) * shares[-1]).astype(np.int64),
            rng.integers(categories, size=sales),
            rng.integers(100, 1_000_000, size=sales),
        )

    def __len__(self) -> int:
        return len(self.sellers)

    def events(self, *, tag: str = "") -> Iterator[ItemSold]:
        """Yield them as events, a second apart; `tag` keeps the ids of two logs apart."""
        rows = zip(
            self.sellers.tolist(), self.categories.tolist(), self.prices.tolist(), strict=True
        )
        for number, (seller, category, price) in enumerate(rows):
            yield ItemSold(
                transaction_id=f"t{tag}{number}",
                listing_id=f"l{tag}{number}",
                seller_id=f"seller-{seller}",
                category=f"Category > {category}",
                price_minor=price,
                currency=CURRENCY,
                sold_at=START + timedelta(seconds=number),
            )

    def publish(self, servers: str, topic: str, *, tag: str = "", bad: float = 0.0) -> int:
        """Write them to partition 0 of a topic; return how many records that were.

        A share `bad` of further records, spread evenly, is one of BAD_VALUES.
        """
        producer = Producer(
            {"bootstrap.servers": servers, "linger.ms": 50, "queue.buffering.max.messages": 200_000}
        )
        written = 0

        def write(value: bytes, sale: ItemSold) -> None:
            nonlocal written
            headers = encode(sale, event_id=f"s{tag}{written}", source="/bench", time=sale.sold_at)
            stamp = int(sale.sold_at.timestamp() * 1000)
            while True:
                try:
                    producer.produce(
                        topic,
                        value,
                        sale.seller_id,
                        partition=0,
                        timestamp=stamp,
                        headers=[*headers],
                    )
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
            written += 1

        bad_so_far = 0
        for number, sale in enumerate(self.events(tag=tag), start=1):
            write(sale.to_bytes(), sale)
            if number * bad >= bad_so_far + 1:
                write(BAD_VALUES[bad_so_far % len(BAD_VALUES)], sale)
                bad_so_far += 1
        producer.flush()
        return written

    def counted(self, first: int, *, scopes: tuple[str, ...]) -> Counted:
        """Return what the first so many sales come to, in plain Python."""
        found: dict[str, dict[str, tuple[list[int], dict[int, int]]]] = {s: {} for s in scopes}
        for sale, _ in zip(self.events(), range(first), strict=False):
            price = sale.price_minor
            places = {"seller": sale.seller_id, "category": sale.category, "global": sale.currency}
            bits = max(0, price.bit_length() - 8)  # eight bits of a price are kept
            bucket = 128 * bits + (price >> bits)
            for scope in scopes:
                sums, buckets = found[scope].setdefault(places[scope], ([0, 0], {}))
                sums[0] += 1
                sums[1] += price
                buckets[bucket] = buckets.get(bucket, 0) + 1
        return {
            scope: {key: (sums[0], sums[1], buckets) for key, (sums, buckets) in entries.items()}
            for scope, entries in found.items()
        }
