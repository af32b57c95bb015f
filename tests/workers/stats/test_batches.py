"""However records are cut into batches, chunks and runs, and whichever batches fail, what comes
of them is what a plain recount says, one record after the other."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.listing import ListingEnriched
from schemas.topics import (
    LISTING_CREATED,
    LISTING_ENRICHED,
    TRANSACTIONS,
)
from stats_store.backend.memory import MemoryBackend
from stats_store.changelog import CHANGELOG_POSITION_KEY, PACK_DAYS_PREFIX
from stats_store.identity import identity
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore
from tests.workers.stats.events import Events
from tests.workers.stats.partitions import Partitions, record_of
from tests.workers.stats.recounting import Recount, quartiles_of, statistics_of
from workers.runtime.processing import Output, Record, Rejected

SELLERS = (("carl", "dora"), ("anna", "bert"))  # of partitions 0 and 1 of two, by murmur2
CATEGORIES = ("A", "B", "C")
PRICES = (10, 60, 101, 250)  # by item; below 256 quartiles are exact
REFUNDS = (3, 15, 300)
DAY = 86_400
NEVER = 1e11  # seconds: three thousand years ahead
NOBODYS = Record(TRANSACTIONS, 7, 0, 0, None, None, ())  # of a partition that is not there
_BEYOND = 5  # records after a batch that were in the failed try, as the loop halves what fails

events = Events()

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


def records_of(history: Iterable[Step]) -> list[Record]:
    """Return records as the loop hands them over: each topic of a partition in order."""
    ends: Counter[tuple[str, int]] = Counter()
    records: list[Record] = []
    for kind, partition, item, way in history:
        topic = LISTING_CREATED if kind == "listing" else TRANSACTIONS
        offset = ends[topic, partition]
        ends[topic, partition] += 1
        seller = SELLERS[1 - partition if kind == "stray" else partition][item % 2]
        name = f"l{item}"
        if kind == "listing":
            made = events.listing(name, item, seller=seller, category=CATEGORIES[way])
        elif kind in ("reversal", "refund"):
            refunded = REFUNDS[way] if kind == "refund" else None
            made = events.reversal(item, item, seller=seller, listing=name, refunded=refunded)
        else:
            made = events.sale(
                item,
                NEVER if kind == "future" else item * DAY,
                PRICES[item] + (kind == "dearer"),
                seller=seller,
                category=CATEGORIES[way if kind == "elsewhere" else 0],
                listing=name,
                told=0,
            )
        if kind == "broken":
            made["value"] = b"broken"
        records.append(record_of(made, offset, topic=topic, partition=partition))
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
    """Two partitions, and what came of their records."""

    def __init__(self) -> None:
        self.two = Partitions(2)
        self.found: list[list[object]] = [[] for _ in SELLERS]

    def batch(self, records: Sequence[Record]) -> None:
        results = self.two.processor.process(records)
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
        store.restore(self.two.changelogs[partition])
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
