"""Listings, answers and sales as their workers and services publish them, and a plain recount."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from confluent_kafka import Producer

from schemas.cloudevents import encode
from schemas.image import ImageReference
from schemas.listing import ListingEnriched
from schemas.sale import ItemSold, SaleReversed
from schemas.statistics import Scope, ScopeStatistics, Statistics
from schemas.suggestion import PriceSuggested
from schemas.topics import LISTING_ENRICHED, PRICE_SUGGESTED, TRANSACTIONS

SELLERS = 5_000
CURRENCY, CATEGORY = "GBP", "Clothing > Shoes"
_START = datetime(2026, 1, 1, tzinfo=UTC)
_SCOPE = ScopeStatistics(q1=1500, q2=2400, q3=3900, mean=2713, count=812, source=Scope.CATEGORY)
_STATISTICS = Statistics(currency=CURRENCY, seller=_SCOPE, category=_SCOPE, overall=_SCOPE)

Event = ListingEnriched | PriceSuggested | ItemSold | SaleReversed


@dataclass
class Market:
    """What is published into one prefix, and what has to come of it.

    Attributes:
        scores: suggested and sold price by transaction.
        examples: outcome and price by listing.
        published: events so far, by topic.
    """

    seed: int
    scores: dict[str, tuple[int, int]] = field(default_factory=dict)
    examples: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    published: dict[str, int] = field(default_factory=dict)
    _listed: int = 0
    _sold: int = 0
    _prices: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)

    def listings(self, count: int) -> Iterator[Event]:
        """Give so many listings, each followed by its answer."""
        for _ in range(count):
            number = self._listed
            self._listed += 1
            price = self._dice.randint(500, 5_000)
            self._prices.append(price)
            names = {"listing_id": f"l{number}", "seller_id": f"s{number % SELLERS}"}
            listed_at = _START + timedelta(seconds=number)
            yield ListingEnriched(
                **names,
                category=CATEGORY,
                currency=CURRENCY,
                images=(ImageReference(uri=f"https://photos.example/{number}/1.jpg"),),
                listed_at=listed_at,
                brand="Oakmoor",
                attributes=("brown", "leather"),
                specifications={"size": "42"},
                title="Leather boots, worn twice",
                statistics=_STATISTICS,
            )
            yield PriceSuggested(
                **names,
                category=CATEGORY,
                currency=CURRENCY,
                price_minor=price,
                low_minor=price // 2,
                high_minor=price * 2,
                range_probability=0.8,
                confidence=0.9,
                statistics=_STATISTICS,
                model_version="benchmark",
                listed_at=listed_at,
            )

    def sales(self, count: int, *, taken_back: float = 0.0) -> Iterator[Event]:
        """Give so many sales of listings that were not sold yet, the oldest first.

        A share of them is taken back, half of these in part.
        """
        for _ in range(count):
            number = self._sold
            self._sold += 1
            price = self._dice.randint(500, 5_000)
            listing, name = f"l{number}", f"t{number}"
            names = {"listing_id": listing, "seller_id": f"s{number % SELLERS}"}
            sold_at = _START + timedelta(seconds=number, days=2)
            self.scores[name] = (self._prices[number], price)
            self.examples[listing] = ("sold", price)
            yield ItemSold(
                **names,
                transaction_id=name,
                category=CATEGORY,
                price_minor=price,
                currency=CURRENCY,
                sold_at=sold_at,
            )
            if self._dice.random() < taken_back:
                refunded = None if self._dice.random() < 0.5 else price // 2
                left = None if refunded is None else price - refunded
                self.examples[listing] = ("reversed" if left is None else "sold", left)
                yield SaleReversed(
                    **names,
                    transaction_id=name,
                    reversed_at=sold_at + timedelta(days=1),
                    refunded_minor=refunded,
                )

    def mixed(self, count: int) -> Iterator[Event]:
        """Give events of which a third are listings, their answers, and sales of older ones."""
        for _ in range(count // 3):
            yield from self.listings(1)
            yield from self.sales(1)

    def publish(self, servers: str, prefix: str, events: Iterator[Event]) -> int:
        """Publish events; returns how many. The ids are those that the workers would give."""
        producer = Producer(
            {
                "bootstrap.servers": servers,
                "partitioner": "murmur2_random",
                "linger.ms": 20,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        count = 0
        for count, event in enumerate(events, 1):
            topic = _TOPIC[type(event)]
            self.published[topic] = self.published.get(topic, 0) + 1
            listing = isinstance(event, (ListingEnriched, PriceSuggested))
            name = event.listing_id if listing else f"e{self.published[topic]}"
            producer.produce(
                prefix + topic,
                event.to_bytes(),
                event.seller_id.encode(),
                headers=[*encode(event, event_id=name, source="/benchmark", time=_START)],
            )
            if count % 1_000 == 0:
                producer.poll(0)
        if left := producer.flush(120):
            raise SystemExit(f"{left} events could not be published")
        return count


_TOPIC = {
    ListingEnriched: LISTING_ENRICHED,
    PriceSuggested: PRICE_SUGGESTED,
    ItemSold: TRANSACTIONS,
    SaleReversed: TRANSACTIONS,
}


def log_error(suggested: int, sold: int) -> float:
    """Return the natural log of suggested over sold price, as a score has it."""
    return math.log(suggested / sold)
