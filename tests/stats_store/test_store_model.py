"""The store against a plain model, through random histories of batches, aborts and crashes."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.sale import ItemSold, SaleReversed
from schemas.statistics import Scope
from stats_store.errors import SaleConflictError
from stats_store.histogram import PriceHistogram
from stats_store.sales import ReversalOutcome, SaleOutcome
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore

OpenStore = Callable[[], PartitionStore]
Place = tuple[str, str]
Content = tuple[str, str, str, int]  # seller, category, currency, price

LISTINGS = ("l1", "l10", "l2")  # one is the start of another
SELLERS = ("anna", "bert")
CATEGORIES = ("Shoes", "Shoes > Boots")
CURRENCIES = ("GBP", "JPY")
AT = datetime(2024, 5, 1, tzinfo=UTC)
TOPIC = "transactions"


@dataclass
class Model:
    """Dicts and lists only: what a store must say, by recounting all sales each time."""

    sold: dict[Place, Content] = field(default_factory=dict)
    reversed: dict[Place, Content] = field(default_factory=dict)
    parked: set[Place] = field(default_factory=set)
    former: dict[Place, set[str]] = field(default_factory=dict)  # categories before corrections
    position: int | None = None

    def sell(self, place: Place, content: Content) -> SaleOutcome | None:
        for sales in (self.sold, self.reversed):
            if (known := sales.get(place)) is not None:
                return self.sell_again(sales, place, known, content)
        if place in self.parked:
            self.parked.remove(place)
            self.reversed[place] = content
            return SaleOutcome.ANNULLED
        self.sold[place] = content
        return SaleOutcome.COUNTED

    def sell_again(
        self, sales: dict[Place, Content], place: Place, known: Content, content: Content
    ) -> SaleOutcome | None:
        if (known[0], *known[2:]) != (content[0], *content[2:]):
            return None
        former = self.former.setdefault(place, set())
        if content[1] in {known[1], *former}:
            return SaleOutcome.DUPLICATE
        former.add(known[1])
        sales[place] = content
        return SaleOutcome.CORRECTED

    def reverse(self, place: Place) -> ReversalOutcome:
        if place in self.sold:
            self.reversed[place] = self.sold.pop(place)
            return ReversalOutcome.TAKEN_BACK
        if place in self.reversed or place in self.parked:
            return ReversalOutcome.DUPLICATE
        self.parked.add(place)
        return ReversalOutcome.PARKED

    def prices(self, key: ScopeKey, without_listing: str | None = None) -> list[int]:
        def counts(content: Content) -> bool:
            seller, category, currency, _ = content
            name = {Scope.SELLER: seller, Scope.CATEGORY: category, Scope.GLOBAL: ""}[key.scope]
            return (currency, name) == (key.currency, key.name)

        return [
            content[3]
            for (listing, _), content in self.sold.items()
            if counts(content) and listing != without_listing
        ]


def all_keys() -> list[ScopeKey]:
    return [
        key
        for currency in CURRENCIES
        for key in (
            *(ScopeKey.seller(currency, seller) for seller in SELLERS),
            *(ScopeKey.category(currency, category) for category in CATEGORIES),
            ScopeKey.overall(currency),
        )
    ]


def encoded(prices: list[int]) -> bytes:
    histogram = PriceHistogram()
    histogram.add_many(prices)
    return histogram.to_bytes()


def encoded_or_empty(histogram: PriceHistogram | None) -> bytes:
    return encoded([]) if histogram is None else histogram.to_bytes()


class History:
    """A store, its changelog, and the model of both what is provisional and what is durable."""

    def __init__(self, new_place: Callable[[], OpenStore]) -> None:
        self.new_place = new_place
        self.open_store = new_place()
        self.store = self.open_store()
        self.model = Model()
        self.durable = Model()
        self.log: list[tuple[int, bytes, bytes | None]] = []
        self.next_offset = 0
        self.published: dict[bytes, bytes] = {}

    def sell(self, place: Place, content: Content) -> None:
        seller, category, currency, price = content
        sale = ItemSold(
            listing_id=place[0],
            transaction_id=place[1],
            seller_id=seller,
            category=category,
            currency=currency,
            price_minor=price,
            sold_at=AT,
        )
        expected = self.model.sell(place, content)
        if expected is None:
            with pytest.raises(SaleConflictError):
                self.store.apply_sale(sale)
        else:
            assert self.store.apply_sale(sale) is expected

    def reverse(self, place: Place) -> None:
        reversal = SaleReversed(
            listing_id=place[0], transaction_id=place[1], seller_id="anna", reversed_at=AT
        )
        assert self.store.apply_reversal(reversal) is self.model.reverse(place)

    def write_changelog(self) -> dict[bytes, bytes]:
        self.model.position = (self.model.position or 0) + 1
        self.store.set_position(TOPIC, self.model.position)
        parts = dict(self.store.take_unpublished_parts())
        changes = self.store.changes()
        assert len({key for key, _ in changes}) == len(changes)
        assert all(not key.startswith(b"s") for key, _ in changes)  # the sales are packed
        for key, value in changes:
            self.log.append((self.next_offset, key, value))
            self.next_offset += 1
        self.next_offset += 1  # the marker of the transaction
        return parts

    def commit(self) -> None:
        self.published |= self.write_changelog()
        self.store.commit(self.next_offset)
        self.durable = deepcopy(self.model)
        for key in all_keys():
            if key.scope is not Scope.SELLER:
                part = self.published.get(key.to_bytes(), encoded([]))
                assert part == encoded(self.model.prices(key))

    def rollback(self) -> None:
        self.store.changes()
        self.store.take_unpublished_parts()
        self.store.rollback()
        self.model = deepcopy(self.durable)

    def reopen(self) -> None:
        self.store.close()
        self.store = self.open_store()
        self.model = deepcopy(self.durable)
        self.store.reconcile_parts(self.published)

    def crash_before_the_write(self) -> None:
        """The transaction stands, the process dies before its WriteBatch."""
        self.published |= self.write_changelog()
        self.durable = deepcopy(self.model)
        self.reopen()
        self.catch_up()

    def move_to_a_new_machine(self) -> None:
        self.store.close()
        self.open_store = self.new_place()
        self.store = self.open_store()
        self.model = deepcopy(self.durable)
        self.catch_up()

    def catch_up(self) -> None:
        position = self.store.changelog_position
        self.store.restore(record for record in self.log if record[0] >= position)
        self.store.reconcile_parts(self.published)

    def compact(self) -> None:
        latest = {key: (offset, key, value) for offset, key, value in self.log}
        self.log = sorted(latest.values())

    def check(self) -> None:
        assert self.store.position(TOPIC) == self.model.position
        for key in all_keys():
            prices = self.model.prices(key)
            assert (self.store.histogram(key) is None) == (not prices)
            assert encoded_or_empty(self.store.histogram(key)) == encoded(prices)
        for listing in LISTINGS:
            found = self.store.listing_histograms(
                listing_id=listing, seller_id="anna", category="Shoes", currency="GBP"
            )
            keys = (
                ScopeKey.seller("GBP", "anna"),
                ScopeKey.category("GBP", "Shoes"),
                ScopeKey.overall("GBP"),
            )
            for histogram, key in zip(found, keys, strict=True):
                others = self.model.prices(key, without_listing=listing)
                assert encoded_or_empty(histogram) == encoded(others)


places = st.tuples(st.sampled_from(LISTINGS), st.sampled_from(["t1", "t2"]))
contents = st.tuples(
    st.sampled_from(SELLERS),
    st.sampled_from(CATEGORIES),
    st.sampled_from(CURRENCIES),
    st.integers(1, 5000),
)
steps = st.one_of(
    st.tuples(st.just("sell"), places, contents),
    st.tuples(st.just("sell"), places, st.just(("anna", "Shoes", "GBP", 1000))),
    st.tuples(st.just("reverse"), places),
    st.tuples(
        st.sampled_from(
            [
                "commit",
                "commit",
                "rollback",
                "reopen",
                "crash_before_the_write",
                "move_to_a_new_machine",
                "compact",
            ]
        )
    ),
)


histories = st.lists(steps, max_size=40)


def follow(new_place: Callable[[], OpenStore], history: list[tuple[object, ...]]) -> None:
    run = History(new_place)
    try:
        for name, *arguments in history:
            getattr(run, str(name))(*arguments)
            run.check()
        run.commit()
        run.reopen()
        run.check()
        assert run.store.take_unpublished_parts() == []
    finally:
        run.store.close()


@settings(max_examples=100, deadline=None)
@given(history=histories)
def test_a_store_in_memory_says_what_a_recount_says(
    new_memory_place: Callable[[], OpenStore], history: list[tuple[object, ...]]
) -> None:
    follow(new_memory_place, history)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories)
def test_a_store_in_rocksdb_says_what_a_recount_says(
    new_rocksdb_place: Callable[[], OpenStore], history: list[tuple[object, ...]]
) -> None:
    follow(new_rocksdb_place, history)
