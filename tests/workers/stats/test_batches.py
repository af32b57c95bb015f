"""However records are cut into batches, chunks and runs, and whichever batches fail, what comes
of them is what a plain recount says, one record after the other."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.listing import ListingEnriched
from schemas.topics import (
    LISTING_CREATED,
    LISTING_ENRICHED,
    STATS_CHANGELOG,
    TRANSACTIONS,
)
from stats_store.backend.memory import MemoryBackend
from stats_store.changelog import CHANGELOG_POSITION_KEY, PACK_DAYS_PREFIX
from stats_store.identity import identity
from stats_store.scope import ScopeKey
from stats_store.store import ChangelogRecord, PartitionStore
from tests.workers.stats.partitions import (
    START,
    Partitions,
    listing_of,
    record_of,
    reversal_of,
    sale_of,
)
from workers.runtime.processing import Output, Record, Rejected

SELLERS = (("carl", "dora"), ("anna", "bert"))  # of partitions 0 and 1 of two, by murmur2
CATEGORIES = ("A", "B", "C")
PRICES = (10, 60, 101, 250)  # by item; below 256 quartiles are exact
REFUNDS = (3, 15, 300)
NEVER = datetime(9000, 1, 1, tzinfo=UTC)
NOBODYS = Record(TRANSACTIONS, 7, 0, 0, None, None, ())  # of a partition that is not there
_BEYOND = 5  # records after a batch that were in the failed try, as the loop halves what fails

Step = tuple[str, int, int, int]
"""What happens, in which partition, to which item, and which of three ways."""

KINDS = (
    *("sale", "sale", "elsewhere", "dearer", "reversal", "refund", "refund"),
    *("listing", "listing", "broken", "future", "stray"),
)
a_step = st.tuples(
    st.sampled_from(KINDS), st.integers(0, 1), st.integers(0, len(PRICES) - 1), st.integers(0, 2)
)
a_cut = st.tuples(
    st.integers(1, 20),  # records that are new
    st.integers(0, 6),  # and before them some that are applied already
    st.sampled_from(["", "", "aborted", "broken off", "reopened"]),
)


def many(each: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[list[Any]]:
    """Return lists of any length alike; left to itself, Hypothesis makes them five long or so."""
    return st.integers(0, most).flatmap(lambda n: st.lists(each, min_size=n, max_size=n))


@dataclass
class Sale:
    """A sale of an item, whatever became of it."""

    price: int
    category: str
    told: set[str]  # categories so far
    refunded: int = 0
    reversed: bool = False


@dataclass
class Recount:
    """The sales of one partition, recounted whenever a number is asked for."""

    sales: dict[int, Sale] = field(default_factory=dict)
    waiting: dict[int, int | None] = field(default_factory=dict)  # refunds; None: of all

    def sell(self, item: int, price: int, category: str) -> str:
        known = self.sales.get(item)
        if known is None:
            refunded = self.waiting.pop(item, 0)
            annulled = refunded is None or refunded >= price
            self.sales[item] = Sale(price, category, {category}, refunded or 0, annulled)
            return "annulled" if annulled else "counted"
        if known.price != price:
            return "conflict"
        if category in known.told:
            return "duplicate"
        known.told.add(category)
        known.category = category
        return "corrected"

    def reverse(self, item: int, refunded: int | None) -> str:
        sale = self.sales.get(item)
        if sale is None:
            before = self.waiting.get(item, 0)
            if before is not None and (refunded is None or refunded > before):
                self.waiting[item] = refunded
            return "parked" if before == 0 else "duplicate"
        if sale.reversed or (refunded is not None and refunded <= sale.refunded):
            return "duplicate"
        if refunded is None or refunded >= sale.price:
            sale.reversed = True
            return "taken_back"
        sale.refunded = refunded
        return "taken_back_in_part"

    def prices(
        self, *, seller: int | None = None, category: str | None = None, without: int | None = None
    ) -> list[int]:
        """Return what was paid, in order of price; an item is of the seller of its parity."""
        return sorted(
            sale.price - sale.refunded
            for item, sale in self.sales.items()
            if not sale.reversed
            and item != without
            and seller in (None, item % 2)
            and category in (None, sale.category)
        )


def quartiles_of(prices: Sequence[int]) -> tuple[int, ...]:
    return tuple(prices[(len(prices) * k + 3) // 4 - 1] for k in (1, 2, 3))


def statistics_of(scopes: Iterable[Sequence[int]]) -> list[tuple[int, ...]]:
    """Return count, mean and quartiles of each scope; the narrower ones come first."""
    found: list[tuple[int, ...]] = []
    numbers: tuple[int, ...] = (0, 0, 0, 0)
    for prices in reversed(list(scopes)):
        if prices:
            half_up = (2 * sum(prices) + len(prices)) // (2 * len(prices))
            numbers = (half_up, *quartiles_of(prices))
        found.insert(0, (len(prices), *numbers))
    return found


def records_of(history: Iterable[Step]) -> list[Record]:
    """Return records as the loop hands them over: each topic of a partition in order."""
    ends: Counter[tuple[str, int]] = Counter()
    records: list[Record] = []
    for kind, partition, item, way in history:
        topic = LISTING_CREATED if kind == "listing" else TRANSACTIONS
        offset = ends[topic, partition]
        ends[topic, partition] += 1
        seller = SELLERS[1 - partition if kind == "stray" else partition][item % 2]
        event: Any
        if kind == "listing":
            event = listing_of(item, seller).model_copy(update={"category": CATEGORIES[way]})
        elif kind in ("reversal", "refund"):
            refunded = REFUNDS[way] if kind == "refund" else None
            event = reversal_of(item, seller).model_copy(update={"refunded_minor": refunded})
        else:
            sold_at = NEVER if kind == "future" else START + timedelta(days=item)
            category = CATEGORIES[way if kind == "elsewhere" else 0]
            event = sale_of(item, seller, PRICES[item] + (kind == "dearer")).model_copy(
                update={"category": category, "sold_at": sold_at}
            )
        record = record_of(event, offset, partition)
        if kind == "broken":
            record = Record(topic, partition, offset, offset, b"k", b"broken", record.headers)
        records.append(record)
    return records


def expected_of(
    history: Sequence[Step], records: Sequence[Record]
) -> tuple[list[list[object]], list[Recount], Counter[str]]:
    """Return by partition what comes out, in order, and the final sales; and outcomes of all."""
    recounts = [Recount() for _ in SELLERS]
    found: list[list[object]] = [[] for _ in SELLERS]
    outcomes: Counter[str] = Counter()
    for (kind, partition, item, way), record in zip(history, records, strict=True):
        recount, came = recounts[partition], found[partition]
        if kind == "listing":
            scopes: tuple[dict[str, Any], ...] = (
                {"seller": item % 2},
                {"category": CATEGORIES[way]},
                {},
            )
            numbers = statistics_of(recount.prices(**scope, without=item) for scope in scopes)
            came.append((f"l{item}", numbers))
        elif kind in ("broken", "future"):
            came.append((record.offset, "decode" if kind == "broken" else "clock"))
        elif kind == "stray":
            came.append((1 - partition, record.value))
        elif kind in ("reversal", "refund"):
            outcomes[recount.reverse(item, REFUNDS[way] if kind == "refund" else None)] += 1
        else:
            category = CATEGORIES[way if kind == "elsewhere" else 0]
            outcome = recount.sell(item, PRICES[item] + (kind == "dearer"), category)
            if outcome == "conflict":
                came.append((record.offset, "conflict"))
            else:
                outcomes[outcome] += 1
    return found, recounts, outcomes


def told(results: Sequence[Output | Rejected]) -> list[list[object]]:
    """Return by partition what came out, without what is for the changelog and other workers."""
    found: list[list[object]] = [[] for _ in SELLERS]
    for result in results:
        if isinstance(result, Rejected):
            found[result.record.partition].append((result.record.offset, result.stage))
        elif result.topic == TRANSACTIONS:
            found[1 - result.partition].append((result.partition, result.value))
        elif result.topic == LISTING_ENRICHED:
            listing = ListingEnriched.model_validate_json(result.value or b"")
            statistics = listing.statistics
            numbers = [
                (scope.count, scope.mean, scope.q1, scope.q2, scope.q3)
                for scope in (statistics.seller, statistics.category, statistics.overall)
            ]
            found[result.partition].append((listing.listing_id, numbers))
    return found


class Run:
    """Two partitions, what came of their records, and what their changelogs hold."""

    def __init__(self) -> None:
        self.two = Partitions(2)
        self.found: list[list[object]] = [[] for _ in SELLERS]
        self.logs: list[list[ChangelogRecord]] = [[] for _ in SELLERS]

    def batch(self, records: Sequence[Record]) -> None:
        results = self.two.processor.process(records)
        for each in results:
            if isinstance(each, Output) and each.topic == STATS_CHANGELOG:
                log = self.logs[each.partition]
                log.append((len(log), each.key or b"", each.value))
        self.two.commit(results)
        for partition, came in enumerate(told(results)):
            self.found[partition] += came

    def fail(self, records: Sequence[Record], trouble: str) -> None:
        """Let a batch come to nothing."""
        if trouble == "broken off":  # once all of it is applied
            with pytest.raises(KeyError):
                self.two.processor.process([*records, NOBODYS])
        else:
            self.two.processor.process(records)
        self.two.processor.aborted()

    def reopen(self) -> None:
        for partition in range(2):
            self.two.processor.revoked(partition)
            self.two.processor.assigned(partition)

    def state(self, partition: int) -> dict[bytes, bytes]:
        """Return what is durable, but for which records of the changelog it came in."""
        local = (CHANGELOG_POSITION_KEY, PACK_DAYS_PREFIX)
        entries = self.two.entries[partition].items()
        return {key: value for key, value in entries if not key.startswith(local)}

    def rebuilt(self, partition: int) -> dict[bytes, bytes]:
        """Return what a new owner of the partition makes of its changelog."""
        entries = dict(identity(partition))
        store = PartitionStore(MemoryBackend(entries), partition, cached_histograms=2)
        store.restore(self.logs[partition])
        return entries


@pytest.mark.parametrize("chunk", [1, 3, 1_000])
@given(history=many(a_step, 80), sizes=many(a_cut, 8))
def test_no_cut_and_no_failure_changes_what_comes_of_records(
    chunk: int, history: list[Step], sizes: list[tuple[int, int, str]]
) -> None:
    records = records_of(history)
    whole, cut = Run(), Run()
    whole.batch(records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workers.stats.processor._CHUNK", chunk)
        done = 0
        for size, again, trouble in [*sizes, (len(records) + 1, 0, "")]:
            start, end = max(0, done - again), done + size
            if trouble in ("aborted", "broken off"):
                cut.fail(records[start : end + _BEYOND], trouble)
            cut.batch(records[start:end])
            if trouble == "reopened":
                cut.reopen()
            _, so_far, _ = expected_of(history[:end], records[:end])
            for partition, recount in enumerate(so_far):
                check_store(cut.two.open(partition), recount, SELLERS[partition])
            done = end
    expected, _, outcomes = expected_of(history, records)
    for run in (whole, cut):
        assert run.found == expected
        value_of = run.two.registry.get_sample_value
        for outcome, count in outcomes.items():
            assert value_of("secondsight_sales_total", {"outcome": outcome}) == count
        listings = sum(kind == "listing" for kind, *_ in history)
        assert value_of("secondsight_listings_enriched_total") == listings
    for partition in range(2):
        assert cut.state(partition) == whole.state(partition)
        assert cut.rebuilt(partition) == cut.two.entries[partition]
        for topic in (TRANSACTIONS, LISTING_CREATED):
            offsets = [r.offset for r in records if (r.topic, r.partition) == (topic, partition)]
            position = cut.two.open(partition).position(topic)
            assert position == (offsets[-1] + 1 if offsets else None)


def check_store(store: PartitionStore, recount: Recount, sellers: Sequence[str]) -> None:
    """Compare with the recount what waits, and count, sum and quartiles of each scope."""
    assert store.parked_reversals == len(recount.waiting)
    scopes = {ScopeKey.overall("GBP"): recount.prices()}
    for parity, seller in enumerate(sellers):
        scopes[ScopeKey.seller("GBP", seller)] = recount.prices(seller=parity)
    for category in CATEGORIES:
        scopes[ScopeKey.category("GBP", category)] = recount.prices(category=category)
    for key, prices in scopes.items():
        held = store.histogram(key)
        if held is None:
            assert prices == []
        else:
            assert (held.count, held.sum) == (len(prices), sum(prices))
            assert held.quartiles() == quartiles_of(prices)
