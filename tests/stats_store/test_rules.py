"""Windows, caps, corrections, refunds in part and forgetting, beside a recount in plain Python."""

from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.sale import ItemSold, SaleReversed
from stats_store.backend.memory import MemoryBackend
from stats_store.errors import LateSaleError, SaleConflictError, StoreMismatchError
from stats_store.histogram import PriceHistogram
from stats_store.identity import identity
from stats_store.partials import DAY_NAME, RemoteParts
from stats_store.rules import Rules
from stats_store.sales import ReversalOutcome, SaleOutcome, SaleState
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


# --- one by one ----------------------------------------------------------------------------


def test_a_sale_leaves_the_window_as_later_days_come() -> None:
    store = Log(Rules(window_days=7)).store
    store.apply_sale(sale("l1", day=0, price=100))
    store.apply_sale(sale("l2", day=6, price=200))
    assert prices(store, ALL) == encoded(100, 200)
    store.apply_sale(sale("l3", day=7, price=300))
    assert prices(store, ALL) == prices(store, A) == prices(store, ANNA) == encoded(200, 300)


def test_a_late_sale_counts_on_its_own_day_or_not_at_all() -> None:
    store = Log(Rules(window_days=7)).store
    store.apply_sale(sale("l1", day=10, price=100))
    assert store.apply_sale(sale("l2", day=4, price=200)) is SaleOutcome.COUNTED
    assert store.apply_sale(sale("l3", day=3, price=300)) is SaleOutcome.COUNTED
    assert prices(store, ALL) == encoded(100, 200)
    assert store.apply_sale(sale("l3", day=3, price=300)) is SaleOutcome.DUPLICATE
    assert store.apply_reversal(reversal("l3")) is ReversalOutcome.TAKEN_BACK
    assert store.apply_reversal(reversal("l2")) is ReversalOutcome.TAKEN_BACK
    assert prices(store, ALL) == encoded(100)


def test_days_that_have_left_the_window_are_deleted_here_and_in_the_changelog() -> None:
    log = Log(Rules(window_days=2))
    for day in range(20):
        log.store.apply_sale(sale(f"l{day}", day=day))
        log.commit()
    log.store.advance(START_DAY + 40)
    log.commit()
    log.commit()
    assert [key for key in log.entries if key.startswith(b"h")] == []
    latest = {key: value for _, key, value in log.changelog}
    assert {value for key, value in latest.items() if key.startswith(b"h")} == {None}


def test_a_quiet_partition_hears_of_the_day_from_the_others() -> None:
    busy, quiet = Log(Rules(window_days=7)), Log(Rules(window_days=7))
    quiet.store.apply_sale(sale("l1", day=0))
    quiet.commit()
    busy.store.apply_sale(sale("l2", day=30))
    busy.commit()
    parts = RemoteParts()
    for name, value in busy.published.items():
        parts.apply(1, name, value)
    assert parts.latest_day == START_DAY + 30
    quiet.store.advance(parts.latest_day)
    assert prices(quiet.store, ALL) == encoded()
    assert dict(quiet.store.take_unpublished_parts())[b"gGBP"] == encoded()
    assert DAY_NAME in busy.published


def test_of_each_seller_only_so_many_sales_move_the_prices_of_others() -> None:
    store = Log(Rules(seller_cap=2)).store
    for number, price in enumerate((100, 200, 9_000, 9_000)):
        store.apply_sale(sale(f"l{number}", price=price))
    store.apply_sale(sale("other", seller="bert", price=300))
    assert prices(store, ANNA) == encoded(100, 200, 9_000, 9_000)
    assert prices(store, A) == prices(store, ALL) == encoded(100, 200, 300)
    store.apply_reversal(reversal("l3"))
    assert prices(store, ANNA) == encoded(100, 200, 9_000)
    assert prices(store, ALL) == encoded(100, 200, 300)
    store.apply_reversal(reversal("l0"))
    assert prices(store, ALL) == encoded(200, 300)


def test_the_same_sale_in_another_category_is_a_correction() -> None:
    log = Log(Rules())
    log.store.apply_sale(sale(category="A"))
    log.commit()
    assert log.store.apply_sale(sale(category="B")) is SaleOutcome.CORRECTED
    assert (prices(log.store, A), prices(log.store, B)) == (encoded(), encoded(1000))
    assert prices(log.store, ALL) == encoded(1000)
    log.commit()
    # late copies of either
    assert log.store.apply_sale(sale(category="A")) is SaleOutcome.DUPLICATE
    assert log.store.apply_sale(sale(category="B")) is SaleOutcome.DUPLICATE
    with pytest.raises(SaleConflictError):
        log.store.apply_sale(sale(category="A", price=1001))
    log.store.apply_reversal(reversal())
    assert prices(log.store, ALL) == prices(log.store, B) == encoded()


def test_a_refund_in_part_leaves_the_rest_counted() -> None:
    log = Log(Rules())
    log.store.apply_sale(sale(price=1000))
    log.commit()
    part = ReversalOutcome.TAKEN_BACK_IN_PART
    assert log.store.apply_reversal(reversal(refunded=300)) is part
    assert prices(log.store, ALL) == encoded(700)
    log.commit()
    assert log.store.apply_reversal(reversal(refunded=300)) is ReversalOutcome.DUPLICATE
    assert log.store.apply_reversal(reversal(refunded=200)) is ReversalOutcome.DUPLICATE
    assert log.store.apply_reversal(reversal(refunded=400)) is part  # 400 in all
    assert prices(log.store, ALL) == encoded(600)
    assert log.store.apply_sale(sale(price=1000)) is SaleOutcome.DUPLICATE
    assert log.store.apply_reversal(reversal(refunded=1000)) is ReversalOutcome.TAKEN_BACK
    assert prices(log.store, ALL) == encoded()
    assert log.store.sales_of("l")[0].state is SaleState.REVERSED


def test_a_refund_in_part_may_come_before_its_sale() -> None:
    store = Log(Rules()).store
    assert store.apply_reversal(reversal(refunded=300)) is ReversalOutcome.PARKED
    assert store.apply_reversal(reversal(refunded=400)) is ReversalOutcome.DUPLICATE
    assert store.apply_sale(sale(price=1000)) is SaleOutcome.COUNTED
    assert prices(store, ALL) == encoded(600)


def test_a_listing_does_not_see_what_is_left_of_its_own_refunded_sale() -> None:
    store = Log(Rules()).store
    store.apply_sale(sale("l1", price=1000))
    store.apply_sale(sale("l2", price=500))
    store.apply_reversal(reversal("l1", refunded=300))
    seen = store.listing_histograms(listing_id="l1", seller_id="anna", category="A", currency="GBP")
    assert [each and each.to_bytes() for each in seen] == [encoded(500)] * 3


def test_a_reversal_that_waits_too_long_is_let_go() -> None:
    log = Log(Rules(parked_days=30))
    log.store.apply_sale(sale("l0", day=0))
    long_ago = reversal("l1", day=-1000)  # it waits since it came, whenever it was made
    assert log.store.apply_reversal(long_ago) is ReversalOutcome.PARKED
    log.commit()
    assert log.store.apply_reversal(long_ago) is ReversalOutcome.DUPLICATE
    log.commit()
    assert log.store.parked_reversals == 1
    log.store.apply_sale(sale("l2", day=30))
    log.commit()
    assert (log.store.parked_reversals, log.store.take_expired_reversals()) == (1, 0)
    log.store.apply_sale(sale("l3", day=31))
    log.commit()
    assert (log.store.parked_reversals, log.store.take_expired_reversals()) == (0, 1)
    assert log.store.take_expired_reversals() == 0
    assert log.store.sales_of("l1") == []
    assert log.rebuilt().sales_of("l1") == []
    assert log.store.apply_sale(sale("l1", day=0)) is SaleOutcome.COUNTED


def test_a_sale_older_than_sales_are_remembered_is_refused() -> None:
    log = Log(Rules(sale_days=10, parked_days=10))
    log.store.apply_sale(sale("l1", day=0))
    log.commit()
    log.store.apply_sale(sale("l2", day=9))
    log.commit()
    assert log.store.apply_sale(sale("l1", day=0)) is SaleOutcome.DUPLICATE
    log.store.apply_sale(sale("l3", day=10))
    log.commit()
    with pytest.raises(LateSaleError, match="not remembered"):
        log.store.apply_sale(sale("l1", day=0))
    assert log.store.sales_of("l1") == []  # forgotten, but it still counts
    assert prices(log.store, ALL) == encoded(1000, 1000, 1000)


def test_the_first_day_of_all_is_not_a_forgotten_one() -> None:
    first_sale = sale("l1").model_copy(update={"sold_at": datetime(1970, 1, 1, 12, tzinfo=UTC)})
    log = Log(Rules(sale_days=10, parked_days=10))
    assert log.store.apply_sale(first_sale) is SaleOutcome.COUNTED
    assert log.store.apply_sale(first_sale) is SaleOutcome.DUPLICATE
    log.commit()
    assert prices(log.rebuilt(), ALL) == encoded(1000)


def test_what_is_forgotten_leaves_the_changelog_too() -> None:
    log = Log(Rules(sale_days=10, parked_days=5))
    for day in range(0, 100, 5):
        log.store.apply_sale(sale(f"l{day}", day=day))
        log.commit()
    latest = {key: value for _, key, value in log.changelog if key.startswith(b"b")}
    kept = [value for value in latest.values() if value is not None]
    assert len(latest) >= 20
    assert len(kept) <= 6  # of the last 10 days and the deletions
    rebuilt = log.rebuilt()
    assert rebuilt.apply_sale(sale("l95", day=95)) is SaleOutcome.DUPLICATE
    assert prices(rebuilt, ALL) == prices(log.store, ALL) == encoded(*[1000] * 20)


def test_a_changelog_of_a_window_is_restored_record_by_record() -> None:
    log = Log(Rules(window_days=7, seller_cap=3))
    for number in range(600):
        log.store.apply_sale(sale(f"l{number}", seller=f"s{number}"))
    log.commit()
    assert prices(log.rebuilt(step=1), ALL) == encoded(*[1000] * 600)


def test_a_sale_whose_refund_in_part_came_first_is_under_the_cap_too() -> None:
    store = Log(Rules(seller_cap=1)).store
    for number in range(3):
        store.apply_reversal(reversal(f"l{number}", refunded=1))
        store.apply_sale(sale(f"l{number}"))
    assert prices(store, ANNA) == encoded(999, 999, 999)
    assert prices(store, ALL) == encoded(999)


def test_a_longer_memory_does_not_bring_back_what_was_forgotten() -> None:
    log = Log(Rules(sale_days=10, parked_days=10))
    log.store.apply_sale(sale("l1", day=0))
    log.store.apply_sale(sale("l2", day=30))
    log.commit()
    log.commit()
    log.rules = Rules(sale_days=60, parked_days=10)
    for store in (log.open(log.entries), log.rebuilt()):
        with pytest.raises(LateSaleError):
            store.apply_sale(sale("l1", day=0))


def test_a_category_is_corrected_a_few_times_and_packs_stay_small() -> None:
    log = Log(Rules())
    for name in range(9):
        for number in range(300):
            log.store.apply_sale(sale(f"l{number}", category=f"{name}" + "\U0001f45f" * 500))
    with pytest.raises(SaleConflictError, match="8 times"):
        log.store.apply_sale(sale("l0", category="another"))
    log.commit()
    assert max(len(value or b"") for _, _, value in log.changelog) < 2**20
    assert len(log.rebuilt().sales_of("l7")[0].former_categories) == 8


def test_how_many_wait_is_told_right_and_a_rollback_takes_nothing_for_expired() -> None:
    log = Log(Rules(parked_days=5))
    log.store.apply_sale(sale("l0", day=0))
    for refunded in (1, 2, 3):
        log.store.apply_reversal(reversal("l1", refunded=refunded))
        log.commit()
    assert log.store.parked_reversals == 1
    for _ in range(3):
        log.store.apply_sale(sale("l2", day=20))
        log.store.changes()
        log.store.rollback()
    assert (log.store.parked_reversals, log.store.take_expired_reversals()) == (1, 0)
    log.store.apply_sale(sale("l2", day=20))
    log.commit()
    assert (log.store.parked_reversals, log.store.take_expired_reversals()) == (0, 1)


@pytest.mark.parametrize("other", [Rules(window_days=7), Rules(seller_cap=1)])
def test_state_that_was_counted_by_other_rules_is_refused(other: Rules) -> None:
    log = Log(Rules())
    log.store.apply_sale(sale())
    log.commit()
    log.rules = other
    with pytest.raises(StoreMismatchError, match="SECONDSIGHT_"):
        log.open(log.entries)
    with pytest.raises(StoreMismatchError, match="SECONDSIGHT_"):
        log.rebuilt()


# --- any history beside a recount -----------------------------------------------------------


@dataclass
class Remembered:
    kind: str  # sold, reversed, parked
    day: int
    price: int = 0
    seller: str = ""
    categories: list[str] = field(default_factory=list)
    refunded: int | None = 0  # None: all
    wide: bool = True


@dataclass
class Recount:
    """What the rules say, sale by sale, with nothing kept but the sales."""

    rules: Rules
    today: int = 0
    known: dict[str, Remembered] = field(default_factory=dict)
    for_ever: list[Remembered] = field(default_factory=list)  # forgotten, and still counted

    def counted(self) -> list[Remembered]:
        return [
            each
            for each in [*self.known.values(), *self.for_ever]
            if each.kind == "sold"
            and (not self.rules.window_days or self.today - each.day < self.rules.window_days)
        ]

    def waits(self, each: Remembered | None) -> bool:
        limit = self.rules.parked_days
        return (
            each is not None
            and each.kind == "parked"
            and not (limit and each.day and self.today - each.day > limit)
        )

    def forgotten(self, day: int) -> bool:
        return self.forgotten_by(day, self.today)

    def forgotten_by(self, day: int, today: int) -> bool:
        return 0 < self.rules.sale_days <= today - day

    def sell(self, listing: str, day: int, price: int, seller: str, category: str) -> None:
        if self.forgotten(day):
            return  # refused
        known = self.known.get(listing)
        if known is not None and known.kind != "parked":
            if not self.forgotten_by(known.day, max(self.today, day)):
                same = (known.day, known.price, known.seller) == (day, price, seller)
                if same and category not in known.categories:
                    known.categories.append(category)
                return
            self.for_ever.append(self.known.pop(listing))
            known = None
        self.today = max(self.today, day)
        waiting = self.waits(known)
        new = Remembered("sold", day, price, seller, [category])
        if waiting and known is not None:
            if known.refunded is None or known.refunded >= price:
                new.kind = "reversed"
            else:
                new.refunded = known.refunded
        if self.rules.seller_cap:
            earlier = [each for each in self.counted() if each.seller == seller]
            new.wide = len(earlier) < self.rules.seller_cap
        self.known[listing] = new

    def reverse(self, listing: str, refunded: int | None) -> None:
        known = self.known.get(listing)
        waiting = Remembered("parked", self.today, refunded=refunded)
        if known is not None and known.kind != "parked" and self.forgotten(known.day):
            self.for_ever.append(known)
            known = None
        if known is None or (known.kind == "parked" and not self.waits(known)):
            self.known[listing] = waiting
        elif known.kind == "parked":
            if known.refunded is not None and (refunded is None or refunded > known.refunded):
                self.known[listing] = waiting
        elif known.kind == "sold" and (refunded is None or refunded > (known.refunded or 0)):
            known.refunded = refunded
            if refunded is None or refunded >= known.price:
                known.kind = "reversed"

    def prices(self, *, seller: str | None = None, category: str | None = None) -> bytes:
        return encoded(*(
            each.price - (each.refunded or 0)
            for each in self.counted()
            if (seller is None or each.seller == seller)
            and (category is None or each.categories[-1] == category)
            and (each.wide or seller is not None)
        ))  # fmt: skip


sells = st.tuples(
    st.just("sell"),
    st.sampled_from(["l1", "l2", "l3", "l4"]),
    st.integers(0, 12),
    st.sampled_from([700, 1000]),
    st.sampled_from(["anna", "bert"]),
    st.sampled_from(["A", "B"]),
)
reversals = st.tuples(
    st.just("reverse"),
    st.sampled_from(["l1", "l2", "l3", "l4"]),
    st.integers(0, 12),
    st.sampled_from([None, 1, 300, 800]),
)
ENDS = [("commit",), ("reopen",), ("rollback",), ("hear",)]
steps = st.one_of(sells, sells, sells, reversals, st.sampled_from(ENDS))
rules = st.builds(
    Rules,
    window_days=st.sampled_from([0, 1, 4]),
    seller_cap=st.sampled_from([0, 1, 2]),
    sale_days=st.sampled_from([0, 0, 2, 6]),
    parked_days=st.sampled_from([0, 1, 5]),
)


def assert_equal(store: PartitionStore, recount: Recount) -> None:
    assert prices(store, ALL) == recount.prices()
    for name in ("A", "B"):
        assert prices(store, ScopeKey.category("GBP", name)) == recount.prices(category=name)
    for name in ("anna", "bert"):
        assert prices(store, ScopeKey.seller("GBP", name)) == recount.prices(seller=name)


@settings(max_examples=300, deadline=None)
@given(rules, st.lists(steps, max_size=25))
def test_any_history_comes_to_what_a_recount_says(
    rules: Rules, history: list[tuple[Any, ...]]
) -> None:
    log, recount = Log(rules), Recount(rules)
    durable = deepcopy(recount)
    for step, *arguments in history:
        if step == "sell":
            _sell(log.store, recount, *arguments)
        elif step == "reverse":
            _reverse(log.store, recount, *arguments)
        elif step == "rollback":
            log.store.changes()
            log.store.rollback()
            recount = deepcopy(durable)
        elif step == "hear":
            recount.today = max(recount.today, START_DAY + 7)
            log.store.advance(START_DAY + 7)
        else:
            log.commit()
            durable = deepcopy(recount)
            if step == "reopen":
                log.store = log.open(log.entries)
        assert_equal(log.store, recount)
    log.commit()
    for rebuilt in (log.rebuilt(), log.rebuilt(step=1)):
        assert_equal(rebuilt, recount)
        for listing in ("l1", "l2", "l3", "l4"):
            live = [each for each in log.store.sales_of(listing) if log.store.remembers(each)]
            assert live == [each for each in rebuilt.sales_of(listing) if rebuilt.remembers(each)]
    for name, part in log.published.items():
        if name.startswith(b"c"):
            assert part == recount.prices(category=name[4:].decode())


def _sell(
    store: PartitionStore, recount: Recount, listing: str, day: int, price: int, *names: str
) -> None:
    recount.sell(listing, START_DAY + day, price, *names)
    with suppress(SaleConflictError, LateSaleError):
        store.apply_sale(sale(listing, day=day, price=price, seller=names[0], category=names[1]))


def _reverse(
    store: PartitionStore, recount: Recount, listing: str, day: int, refunded: int | None
) -> None:
    recount.reverse(listing, refunded)
    store.apply_reversal(reversal(listing, day=day, refunded=refunded))
