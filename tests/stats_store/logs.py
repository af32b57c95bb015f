"""A store in memory with its changelog, and sales and reversals by the day."""

from datetime import UTC, datetime, timedelta

from schemas.sale import ItemSold, SaleReversed
from stats_store.backend.memory import MemoryBackend
from stats_store.histogram import PriceHistogram
from stats_store.identity import identity
from stats_store.rules import Rules
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
START_DAY = 20_454  # days from 1970-01-01 to 2026-01-01
TOPIC = "transactions"


def sale(
    listing: str = "l",
    *,
    day: int = 0,
    price: int = 1000,
    seller: str = "anna",
    category: str = "A",
) -> ItemSold:
    return ItemSold(
        transaction_id="t",
        listing_id=listing,
        seller_id=seller,
        category=category,
        price_minor=price,
        currency="GBP",
        sold_at=START + timedelta(days=day),
    )


def reversal(listing: str = "l", *, day: int = 0, refunded: int | None = None) -> SaleReversed:
    return SaleReversed(
        transaction_id="t",
        listing_id=listing,
        seller_id="anna",
        reversed_at=START + timedelta(days=day),
        refunded_minor=refunded,
    )


class Log:
    """A store in memory, and its changelog."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.entries = dict(identity(0))
        self.changelog: list[tuple[int, bytes, bytes | None]] = []
        self.published: dict[bytes, bytes] = {}
        self.store = self.open(self.entries)

    def open(self, entries: dict[bytes, bytes]) -> PartitionStore:
        return PartitionStore(MemoryBackend(entries), 0, cached_histograms=2, rules=self.rules)

    def commit(self) -> None:
        self.store.set_position(TOPIC, 1 + (self.store.position(TOPIC) or 0))
        self.published |= self.store.take_unpublished_parts()
        for key, value in self.store.changes():
            self.changelog.append((len(self.changelog), key, value))
        self.store.commit(len(self.changelog))

    def rebuilt(self, *, step: int = 5_000) -> PartitionStore:
        """Return a store made of what a compacted changelog holds, so many records at a time."""
        latest = {key: offset for offset, key, _ in self.changelog}
        kept = [each for each in self.changelog if latest[each[1]] == each[0]]
        store = self.open(dict(identity(0)))
        for start in range(0, len(kept), step):
            store.restore_batch(kept[start : start + step])
        return store


def prices(store: PartitionStore, key: ScopeKey) -> bytes:
    histogram = store.histogram(key)
    return PriceHistogram().to_bytes() if histogram is None else histogram.to_bytes()


def encoded(*values: int) -> bytes:
    histogram = PriceHistogram()
    histogram.add_many(values)
    return histogram.to_bytes()


ALL = ScopeKey.overall("GBP")
ANNA = ScopeKey.seller("GBP", "anna")
A, B = ScopeKey.category("GBP", "A"), ScopeKey.category("GBP", "B")
