"""A seeded random stream of what happens in a marketplace, with all that goes wrong in one.

The same seed and number of partitions give the same records. What is deliberately bad, and what
lies in a wrong partition, says so in a header of its own, so that a recount need not judge it
with the code under test.
"""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from schemas.base import Event
from schemas.cloudevents import encode
from schemas.image import ImageReference
from schemas.listing import ListingCreated
from schemas.partitioner import partition_for
from schemas.sale import ItemSold, SaleReversed

START = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(milliseconds=10)
MARK = "torture"  # the header: BAD, STRAY or GOOD
BAD, STRAY, GOOD = b"bad", b"stray", b"good"
TRANSACTIONS, LISTINGS = "transactions", "listing.created"

SELLERS = 60
CATEGORIES = 12
CURRENCIES = ("GBP", "GBP", "GBP", "EUR", "JPY")
REMEMBERED = 400  # sales that are still reversed, repeated or contradicted
WEIGHTS = {
    "sale": 48,
    "listing": 20,
    "listing_of_a_sold_thing": 3,
    "repeated": 8,
    "reversal": 7,
    "repeated_reversal": 2,
    "reversal_before_its_sale": 4,
    "reversal_of_nothing": 1,
    "stray": 3,
    "contradiction": 1,
    "broken": 1,
    "broken_listing": 1,
    "from_the_future": 1,
}


@dataclass(frozen=True, slots=True)
class Published:
    """A record to be produced; `partition` is set where it is not left to the partitioner."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    timestamp_ms: int
    partition: int | None = None


class Stream:
    """Endless; `ending` gives what makes every story complete."""

    def __init__(self, seed: int, partitions: int) -> None:
        self._random = random.Random(seed)
        self._partitions = partitions
        self._number = 0
        self._sales: deque[ItemSold] = deque(maxlen=REMEMBERED)
        self._reversals: deque[SaleReversed] = deque(maxlen=REMEMBERED)
        self._awaited: deque[ItemSold] = deque()  # their reversals are published already

    def __iter__(self) -> Iterator[Published]:
        while True:
            kind = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            made: Published = getattr(self, f"_{kind}")()
            yield made
            if len(self._awaited) > self._random.randint(5, 50):
                yield self._of(self._awaited.popleft())

    def ending(self) -> list[Published]:
        """Return the sales whose reversals came first, and listings that see the end."""
        awaited = [self._of(sale) for sale in self._awaited]
        self._awaited.clear()
        return awaited + [self._listing() for _ in range(4 * self._partitions)]

    # --- what is good ----------------------------------------------------------------------

    def _sale(self) -> Published:
        self._sales.append(self._new_sale())
        return self._of(self._sales[-1])

    def _repeated(self) -> Published:
        return self._of(self._random.choice(self._sales)) if self._sales else self._sale()

    def _reversal(self) -> Published:
        if not self._sales:
            return self._sale()
        self._reversals.append(self._reversal_of(self._random.choice(self._sales)))
        return self._of(self._reversals[-1])

    def _repeated_reversal(self) -> Published:
        return self._of(self._random.choice(self._reversals)) if self._reversals else self._sale()

    def _reversal_before_its_sale(self) -> Published:
        self._awaited.append(self._new_sale())
        return self._of(self._reversal_of(self._awaited[-1]))

    def _reversal_of_nothing(self) -> Published:
        return self._of(self._reversal_of(self._new_sale()))

    def _listing(self) -> Published:
        self._number += 1
        return self._of(self._new_listing(f"listing-{self._number}", self._seller()))

    def _listing_of_a_sold_thing(self) -> Published:
        """Its own sale must not be among the statistics that it gets."""
        if not self._sales:
            return self._listing()
        sale = self._random.choice(self._sales)
        return self._of(self._new_listing(sale.listing_id, sale.seller_id))

    def _stray(self) -> Published:
        event: Event = self._new_sale() if self._random.random() < 0.5 else self._stray_listing()
        home = partition_for(event.seller_id.encode(), self._partitions)  # type: ignore[attr-defined]
        if self._partitions == 1:
            return self._of(event)
        elsewhere = (home + self._random.randrange(1, self._partitions)) % self._partitions
        return self._of(event, mark=STRAY, partition=elsewhere)

    # --- what is bad -----------------------------------------------------------------------

    def _contradiction(self) -> Published:
        """A sale with the ids of another and another price: the recount finds that by itself."""
        if not self._sales:
            return self._sale()
        sale = self._random.choice(self._sales)
        return self._of(sale.model_copy(update={"price_minor": sale.price_minor + 1}))

    def _broken(self) -> Published:
        return self._of(self._new_sale(), mark=BAD, value=b'{"transaction_id": ')

    def _broken_listing(self) -> Published:
        self._number += 1
        listing = self._new_listing(f"listing-{self._number}", self._seller())
        return self._of(listing, mark=BAD, value=listing.to_bytes().replace(b"GBP", b"???", 1)[:-9])

    def _from_the_future(self) -> Published:
        return self._of(self._new_sale(), mark=BAD, time=datetime(2999, 1, 1, tzinfo=UTC))

    # --- parts -----------------------------------------------------------------------------

    def _now(self) -> datetime:
        return START + self._number * STEP

    def _seller(self) -> str:
        return f"seller-{min(int(self._random.paretovariate(0.6)), SELLERS)}"

    def _category(self) -> str:
        return f"All > {self._random.randrange(CATEGORIES)}"

    def _new_sale(self) -> ItemSold:
        self._number += 1
        return ItemSold(
            transaction_id=f"t{self._number}",
            listing_id=f"sold-{self._number}",
            seller_id=self._seller(),
            category=self._category(),
            price_minor=max(1, int(self._random.lognormvariate(8, 1.5))),
            currency=self._random.choice(CURRENCIES),
            sold_at=self._now(),
        )

    def _reversal_of(self, sale: ItemSold) -> SaleReversed:
        return SaleReversed(
            transaction_id=sale.transaction_id,
            listing_id=sale.listing_id,
            seller_id=sale.seller_id,
            reversed_at=self._now(),
        )

    def _new_listing(self, listing_id: str, seller: str) -> ListingCreated:
        return ListingCreated(
            listing_id=listing_id,
            seller_id=seller,
            category=self._category(),
            currency=self._random.choice(CURRENCIES),
            images=(ImageReference(uri="https://photos.example.org/1.jpg"),),
            listed_at=self._now(),
        )

    def _stray_listing(self) -> ListingCreated:
        self._number += 1
        return self._new_listing(f"listing-{self._number}", self._seller())

    def _of(
        self,
        event: Event,
        *,
        mark: bytes = GOOD,
        value: bytes | None = None,
        partition: int | None = None,
        time: datetime | None = None,
    ) -> Published:
        self._number += 1
        headers = encode(
            event, event_id=f"event-{self._number}", source="/torture", time=time or self._now()
        )
        return Published(
            topic=LISTINGS if isinstance(event, ListingCreated) else TRANSACTIONS,
            key=event.seller_id.encode(),  # type: ignore[attr-defined]
            value=event.to_bytes() if value is None else value,
            headers=[*headers, (MARK, mark)],
            timestamp_ms=int(self._now().timestamp() * 1000),
            partition=partition,
        )
