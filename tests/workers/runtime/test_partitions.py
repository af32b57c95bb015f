"""How partitions are taken over, started and let go, on a real broker."""

import threading
from collections.abc import Callable
from itertools import pairwise

from confluent_kafka import KafkaError

from tests.workers.runtime.echo import (
    DEADLINE_S,
    LISTINGS,
    PARTITIONS,
    SALES,
    Echo,
    RefuseStarts,
    Start,
    numbered,
)
from workers.errors import ConfigurationError, WorkersError


def test_a_partition_starts_where_its_state_says(
    start: Start,
    echoed: Callable[[int], list[bytes]],
    produce: Callable[..., None],
    topic_prefix: str,
) -> None:
    records = [dict(r, partition=0) for r in numbered(50)]
    produce(topic_prefix + SALES, records)
    processor = Echo()
    processor.starts = {0: {SALES: 40}}
    start(processor)
    assert sorted(echoed(10)) == [b"%d" % i for i in range(40, 50)]


def test_a_partition_taken_away_while_it_is_restored_is_let_go(
    start: Start, topic_prefix: str
) -> None:
    processor = Echo()
    processor.restored.clear()
    one = start(processor)
    assert processor.restoring.wait(DEADLINE_S)
    one.stop()  # revokes; the restore ends only then
    assert one.error is None
    assert processor.open == set()


def test_a_state_ahead_of_its_input_is_refused(
    start: Start, produce: Callable[..., None], topic_prefix: str
) -> None:
    produce(topic_prefix + SALES, [dict(r, partition=0) for r in numbered(3)])
    processor = Echo()
    processor.starts = {0: {SALES: 4}}
    one = start(processor)
    one.thread.join(DEADLINE_S)
    assert isinstance(one.error, ConfigurationError)
    assert "not the one that the state was counted from" in str(one.error)


def test_positions_that_a_young_broker_does_not_tell_are_asked_for_again(
    start: Start,
    echoed: Callable[[int], list[bytes]],
    produce: Callable[..., None],
    topic_prefix: str,
    refuse_starts: RefuseStarts,
) -> None:
    refusals = [
        KafkaError._TRANSPORT,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    ]

    refuse_starts(lambda _: refusals.pop() if refusals else None)
    produce(topic_prefix + SALES, numbered(3, tag="s"))
    produce(topic_prefix + LISTINGS, numbered(3, tag="l"))
    one = start()
    assert sorted(echoed(6)) == sorted(f"{tag}{i}".encode() for tag in "sl" for i in range(3))
    assert not refusals
    assert one.error is None


def test_a_partition_that_cannot_be_started_holds_up_no_other(
    start: Start,
    echoed: Callable[[int], list[bytes]],
    produce: Callable[..., None],
    topic_prefix: str,
    refuse_starts: RefuseStarts,
) -> None:
    told = threading.Event()

    def error_of(partition: int) -> int | None:
        return KafkaError._TRANSPORT if partition == 0 and not told.is_set() else None

    refuse_starts(error_of)
    for partition in range(PARTITIONS):
        produce(
            topic_prefix + SALES,
            [dict(r, partition=partition) for r in numbered(100, tag=f"p{partition}-")],
        )
    one = start(batch=10)
    assert all(value.startswith(b"p1-") for value in echoed(100))
    told.set()
    assert len(set(echoed(200))) == 200
    assert one.error is None


def test_partitions_that_cannot_be_started_are_asked_for_in_turns_between_which_the_loop_beats(
    start: Start,
    echoed: Callable[[int], list[bytes]],
    produce: Callable[..., None],
    topic_prefix: str,
    refuse_starts: RefuseStarts,
) -> None:
    happened: list[int | None] = []  # a partition that was asked for; None for a beat

    def error_of(partition: int) -> int | None:
        if all(happened.count(each) >= 2 for each in range(PARTITIONS)):
            return None
        happened.append(partition)
        return KafkaError._TIMED_OUT

    refuse_starts(error_of)
    for partition in range(PARTITIONS):
        produce(topic_prefix + SALES, [dict(r, partition=partition) for r in numbered(1)])
    one = start(on_beat=lambda: happened.append(None))
    assert len(echoed(2)) == 2
    assert one.error is None
    asked = [at for at, partition in enumerate(happened) if partition is not None]
    # A time-out is long: a worker that sat through one after the other would look dead.
    assert all(None in happened[at:later] for at, later in pairwise(asked))
    # And one that is asked for again comes after those that were not.
    assert {happened[at] for at in asked[-2:]} == set(range(PARTITIONS))


def test_positions_that_the_group_may_not_read_end_the_worker(
    start: Start, refuse_starts: RefuseStarts
) -> None:
    refuse_starts(lambda _: KafkaError.GROUP_AUTHORIZATION_FAILED)
    one = start()
    one.thread.join(DEADLINE_S)
    assert isinstance(one.error, WorkersError)
    assert "Group authorization failed" in str(one.error)
