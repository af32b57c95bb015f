"""However records are cut into batches, chunks and runs, and whichever batches fail, what comes
of them is what a plain recount says, one record after the other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.listing import ListingEnriched
from schemas.topics import LISTING_CREATED, LISTING_ENRICHED, TRANSACTIONS
from stats_store.histogram import PriceHistogram
from stats_store.scope import ScopeKey
from tests.workers.stats.partitions import (
    Partitions,
    listing_of,
    record_of,
    reversal_of,
    sale_of,
)
from workers.runtime.processing import Output, Record, Rejected

SELLERS = ("carl", "anna")  # of partitions 0 and 1 of two
Step = tuple[str, int, int, int]
"""What happens, in which partition, to which item, at which price."""

KINDS = ("sale", "sale", "sale", "reversal", "listing", "broken", "stray")
steps = st.lists(
    st.tuples(
        st.sampled_from(KINDS), st.integers(0, 1), st.integers(0, 3), st.sampled_from([100, 250])
    ),
    max_size=40,
)
cuts = st.lists(st.tuples(st.integers(1, 20), st.booleans()), max_size=10)
"""Sizes of batches, and whether the first try of each fails. What is left is one batch more."""


@dataclass
class Recount:
    """The sales of one seller, recounted for each listing. Items are sold once, at one price."""

    sold: dict[int, int] = field(default_factory=dict)
    taken_back: dict[int, int] = field(default_factory=dict)
    parked: set[int] = field(default_factory=set)

    def sell(self, item: int, price: int) -> bool:
        """Say whether the sale is good: not known at another price."""
        known = self.sold.get(item) or self.taken_back.get(item)
        if known is None:
            (self.taken_back if item in self.parked else self.sold)[item] = price
            self.parked.discard(item)
        return known in (None, price)

    def reverse(self, item: int) -> None:
        if item in self.sold:
            self.taken_back[item] = self.sold.pop(item)
        elif item not in self.taken_back:
            self.parked.add(item)

    def prices(self, *, without: int | None = None) -> list[int]:
        return [price for item, price in self.sold.items() if item != without]


def records_of(history: Iterable[Step]) -> list[Record]:
    """Return records as the loop hands them over: each topic of a partition in order."""
    ends: dict[tuple[str, int], int] = {}
    records: list[Record] = []
    for kind, partition, item, price in history:
        topic = LISTING_CREATED if kind == "listing" else TRANSACTIONS
        offset = ends.get((topic, partition), 0)
        seller = SELLERS[partition]
        if kind == "stray":
            seller = SELLERS[1 - partition]
        if kind == "reversal":
            record = record_of(reversal_of(item, seller), offset, partition)
        elif kind == "listing":
            record = record_of(listing_of(item, seller), offset, partition)
        else:
            record = record_of(sale_of(item, seller, price), offset, partition)
        if kind == "broken":
            record = Record(topic, partition, offset, offset, b"k", b"broken", record.headers)
        ends[topic, partition] = offset + 1
        records.append(record)
    return records


def expected_of(history: Iterable[Step]) -> tuple[list[list[object]], list[Recount]]:
    """Return by partition what comes out, in order, and the final counts."""
    recounts = [Recount() for _ in SELLERS]
    found: list[list[object]] = [[] for _ in SELLERS]
    for kind, partition, item, price in history:
        recount = recounts[partition]
        if kind == "sale" and not recount.sell(item, price):
            found[partition].append("conflict")
        elif kind == "reversal":
            recount.reverse(item)
        elif kind == "listing":
            prices = recount.prices(without=item)
            found[partition].append((len(prices), mean_of(prices)))
        elif kind == "broken":
            found[partition].append("decode")
        elif kind == "stray":
            found[partition].append(("sent on", 1 - partition))
    return found, recounts


def mean_of(prices: list[int]) -> int:
    return (2 * sum(prices) + len(prices)) // (2 * len(prices)) if prices else 0


def told(results: Sequence[Output | Rejected]) -> list[list[object]]:
    """Return by partition what came out, without what is for the changelog and other workers."""
    found: list[list[object]] = [[] for _ in SELLERS]
    for result in results:
        if isinstance(result, Rejected):
            found[result.record.partition].append(result.stage)
        elif result.topic == TRANSACTIONS:
            found[1 - result.partition].append(("sent on", result.partition))
        elif result.topic == LISTING_ENRICHED:
            assert result.value is not None
            seller = ListingEnriched.model_validate_json(result.value).statistics.seller
            found[result.partition].append((seller.count, seller.mean if seller.count else 0))
    return found


def encoded(prices: list[int]) -> bytes:
    histogram = PriceHistogram()
    histogram.add_many(prices)
    return histogram.to_bytes()


@pytest.mark.parametrize("chunk", [1, 3, 1_000])
@given(history=steps, sizes=cuts)
def test_no_cut_and_no_failure_changes_what_comes_of_records(
    chunk: int, history: list[Step], sizes: list[tuple[int, bool]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workers.stats.processor._CHUNK", chunk)
        two = Partitions(2)
        records = records_of(history)
        left = records
        found: list[list[object]] = [[] for _ in SELLERS]
        for size, fails in [*sizes, (len(records) + 1, False)]:
            batch, left = left[:size], left[size:]
            if fails:
                before = [dict(entries) for entries in two.entries]
                two.processor.process(batch)
                two.processor.aborted()
                assert two.entries == before
            results = two.processor.process(batch)
            two.commit(results)
            for partition, came in enumerate(told(results)):
                found[partition] += came
        assert told(two.processor.process(records)) == [[], []]  # all of it is applied
        two.commit([])
    expected, recounts = expected_of(history)
    assert found == expected
    for partition, (seller, recount) in enumerate(zip(SELLERS, recounts, strict=True)):
        store = two.open(partition)
        for key in (ScopeKey.seller("GBP", seller), ScopeKey.overall("GBP")):
            counted = store.histogram(key)
            held = encoded([]) if counted is None else counted.to_bytes()
            assert held == encoded(recount.prices())
        for topic in (TRANSACTIONS, LISTING_CREATED):
            offsets = [r.offset for r in records if (r.topic, r.partition) == (topic, partition)]
            assert store.position(topic) == (offsets[-1] + 1 if offsets else None)
