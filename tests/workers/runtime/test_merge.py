"""The order in which the inputs of a partition are released."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.runtime.merge import TimestampMerge
from workers.runtime.processing import Record

SALES, LISTINGS = "transactions", "listing.created"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def merge(clock: Clock) -> TimestampMerge:
    merge = TimestampMerge([SALES, LISTINGS], max_idle=5.0, clock=clock)
    merge.open(0)
    return merge


def record(topic: str, offset: int, timestamp_ms: int, partition: int = 0) -> Record:
    return Record(topic, partition, offset, timestamp_ms, b"k", b"v", [])


def names(records: list[Record]) -> list[tuple[str, int]]:
    return [(r.topic, r.offset) for r in records]


def expected_order(sales: list[int], listings: list[int]) -> list[tuple[str, int]]:
    """Written out on its own: the smaller head goes first, the listing where they are equal."""
    order, s, n = [], 0, 0
    while s < len(sales) or n < len(listings):
        if n == len(listings) or (s < len(sales) and sales[s] < listings[n]):
            order.append((SALES, s))
            s += 1
        else:
            order.append((LISTINGS, n))
            n += 1
    return order


timestamps = st.lists(st.integers(0, 20), max_size=12)


@given(timestamps, timestamps, st.lists(st.booleans(), max_size=40), st.integers(1, 5))
def test_order_does_not_depend_on_what_was_fetched_first(
    sales: list[int], listings: list[int], fetches: list[bool], limit: int
) -> None:
    merge = TimestampMerge([SALES, LISTINGS], max_idle=0.0, clock=lambda: 0.0)
    merge.open(0)
    pending = {
        SALES: [record(SALES, i, t) for i, t in enumerate(sales)],
        LISTINGS: [record(LISTINGS, i, t) for i, t in enumerate(listings)],
    }
    released: list[Record] = []

    def fetch(topic: str) -> None:
        if pending[topic]:
            merge.add([pending[topic].pop(0)])
        if not pending[topic]:
            merge.reached_end(topic, 0)
        released.extend(merge.take(limit))

    for sale_side in fetches:
        fetch(SALES if sale_side else LISTINGS)
    while pending[SALES]:
        fetch(SALES)
    while pending[LISTINGS]:
        fetch(LISTINGS)
    fetch(SALES)
    fetch(LISTINGS)
    while more := merge.take(limit):
        released.extend(more)

    assert names(released) == expected_order(sales, listings)
    assert len(merge) == 0


def test_a_side_that_has_not_caught_up_holds_the_other_for_good(
    merge: TimestampMerge, clock: Clock
) -> None:
    merge.add([record(LISTINGS, 0, 100)])
    clock.now = 1e9
    assert merge.seconds_to_release() is None
    assert merge.take(10) == []


def test_a_side_at_its_end_holds_the_other_for_max_idle_from_arrival(
    merge: TimestampMerge, clock: Clock
) -> None:
    merge.reached_end(SALES, 0)
    clock.now = 100.0
    merge.add([record(LISTINGS, 0, 100)])
    assert merge.seconds_to_release() == 5.0
    clock.now = 104.5
    assert merge.take(10) == []
    assert merge.seconds_to_release() == 0.5
    clock.now = 105.0
    assert names(merge.take(10)) == [(LISTINGS, 0)]


def test_a_record_clears_the_end_that_was_reached(merge: TimestampMerge, clock: Clock) -> None:
    merge.reached_end(SALES, 0)
    merge.add([record(SALES, 0, 1)])
    assert merge.take(10) == []  # the listings' side is not known to be at its end
    merge.reached_end(LISTINGS, 0)
    clock.now = 5.0
    assert names(merge.take(10)) == [(SALES, 0)]
    merge.add([record(LISTINGS, 0, 2)])
    clock.now = 1e9
    assert merge.take(10) == []  # sales had records since: there may be more of them


def test_partitions_do_not_wait_for_one_another_and_take_turns(merge: TimestampMerge) -> None:
    merge.open(1)
    for offset in range(6):
        for topic in (SALES, LISTINGS):
            merge.add([record(topic, offset, offset, partition=1)])
    merge.add([record(SALES, 0, 0, partition=0)])  # held: its listings are not known
    assert {r.partition for r in merge.take(4)} == {1}
    mixed = [
        each
        for offset in range(6)
        for each in (
            record(LISTINGS, offset, offset, partition=0),
            record(SALES, offset + 1, offset, partition=0),
        )
    ]
    assert merge.add([record(SALES, 0, 0, partition=7), *mixed]) == mixed
    shares = [r.partition for r in merge.take(6)]
    assert shares.count(0) == 3
    assert shares.count(1) == 3


def test_put_back_records_come_again_first_and_in_order(merge: TimestampMerge) -> None:
    for offset in range(3):
        merge.add([record(SALES, offset, 10 * offset)])
        merge.add([record(LISTINGS, offset, 10 * offset + 5)])
    taken = merge.take(4)
    merge.put_back(taken)
    assert len(merge) == 6
    assert names(merge.take(5)) == [*names(taken), (SALES, 2)]


def test_of_what_is_put_back_the_first_is_the_very_next_however_few_are_taken(
    merge: TimestampMerge,
) -> None:
    merge.open(1)
    for partition in (0, 1):
        merge.add([record(SALES, n, n, partition) for n in range(50)])
        merge.add([record(LISTINGS, 0, 1_000, partition)])
    for _ in range(4):  # whichever partition is served first
        taken = merge.take(2)
        assert len({each.partition for each in taken}) == 2
        merge.put_back(taken)
        assert merge.take(1) == taken[:1]
        merge.take(1)


def test_a_closed_partition_is_forgotten(merge: TimestampMerge) -> None:
    merge.add([record(SALES, 0, 0)])
    merge.add([record(LISTINGS, 0, 0)])
    taken = merge.take(1)
    merge.close(0)
    assert len(merge) == 0
    merge.put_back(taken)
    assert merge.add([record(SALES, 1, 1)]) == []
    assert merge.take(10) == []
    assert len(merge) == 0


def test_the_side_that_overfills_is_named(merge: TimestampMerge) -> None:
    for offset in range(4):
        merge.add([record(LISTINGS, offset, offset)])
    assert merge.overfull(4) == [(LISTINGS, 0)]
    assert merge.overfull(5) == []
    assert merge.buffered(LISTINGS, 0) == 4
    assert merge.buffered(SALES, 0) == 0


def test_what_is_put_off_lets_every_other_partition_have_its_turn() -> None:
    merge = TimestampMerge([SALES], max_idle=0.0)
    for partition in range(3):
        merge.open(partition)
        merge.add([record(SALES, n, n, partition) for n in range(20)])
    served: list[Record] = []
    for _ in range(20):  # two at a time, and nothing of partition 0 is ready
        taken = merge.take(2)
        served += [each for each in taken if each.partition != 0]
        merge.put_off(each for each in taken if each.partition == 0)
    assert {each.partition for each in served[:6]} == {1, 2}
    assert [each.offset for each in merge.take(60) if each.partition == 0] == list(range(20))
