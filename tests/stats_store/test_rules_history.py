"""Any history of sales under any rules, beside a recount in plain Python."""

from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stats_store.errors import LateSaleError, SaleConflictError
from stats_store.rules import Rules
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore
from tests.stats_store.logs import ALL, START_DAY, Log, encoded, prices, reversal, sale


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
