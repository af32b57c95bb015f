"""The transactional loop on a real broker: exactly once through poison, faults and rebalances."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest
from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from tests.workers.runtime.echo import (
    DEADLINE_S,
    LISTINGS,
    PARTITIONS,
    SALES,
    Echo,
    Start,
    numbered,
)
from workers.errors import ConfigurationError
from workers.runtime.clients import Options
from workers.runtime.cluster import co_partitions
from workers.runtime.dead_letters import DeadLetterLimitError
from workers.runtime.processing import Record
from workers.runtime.transaction import (
    OutcomeUnknownError,
    TransactionAbortedError,
    TransactionalProducer,
)


def committed_offsets(kafka: str, topic_prefix: str, *topics: str) -> list[int]:
    places = [
        TopicPartition(topic_prefix + topic, partition)
        for topic in topics
        for partition in range(PARTITIONS)
    ]
    member = Consumer({"bootstrap.servers": kafka, "group.id": f"{topic_prefix}echo"})
    try:
        return [place.offset for place in member.committed(places, timeout=30)]
    finally:
        member.close()


def test_every_record_of_both_inputs_is_echoed_once_across_two_members(
    start: Start,
    echoed: Callable[[int], list[bytes]],
    produce: Callable[..., None],
    topic_prefix: str,
) -> None:
    first = start()
    produce(topic_prefix + SALES, numbered(300, tag="s"))
    produce(topic_prefix + LISTINGS, numbered(300, tag="l"))
    echoed(600)
    second = start()
    produce(topic_prefix + SALES, numbered(300, tag="s", first=300))
    first.processor.wait_to_hold(1)
    second.processor.wait_to_hold(1)
    produce(topic_prefix + LISTINGS, numbered(300, tag="l", first=300))
    values = echoed(1200)
    first.stop()
    produce(topic_prefix + SALES, numbered(100, tag="s", first=600))
    values = echoed(1300)

    assert Counter(values) == Counter(
        [b"s%d" % i for i in range(700)] + [b"l%d" % i for i in range(600)]
    )
    assert first.error is None
    assert second.processor.held == {0, 1}


class Studious(Echo):
    """Takes longer for a record than the broker takes to send it."""

    def arrived(self, records: Sequence[Record]) -> None:
        super().arrived(records)
        for _ in records:
            sha256(bytes(5_000)).digest()


def test_a_loop_that_is_behind_fills_its_batches(
    start: Start,
    echoed: Callable[[int], list[bytes]],
    produce: Callable[..., None],
    topic_prefix: str,
) -> None:
    sizes: list[int] = []
    processor = Studious()
    processor.before_commit = lambda: sizes.append(len(processor.provisional))
    produce(topic_prefix + SALES, numbered(40_000))
    start(processor, batch=30_000)

    assert Counter(echoed(40_000)) == Counter(b"%d" % i for i in range(40_000))
    # 5 ms are the wait of one that keeps up: one poll of 1,000.
    assert max(sizes) >= 5_000


def test_the_inputs_of_a_partition_come_in_order_of_time(
    start: Start,
    echoed: Callable[[int], list[bytes]],
    produce: Callable[..., None],
    topic_prefix: str,
) -> None:
    sales = [dict(r, key=b"same") for r in numbered(200, tag="s")]
    listings = [dict(r, key=b"same") for r in numbered(200, tag="l")]
    produce(topic_prefix + SALES, sales)
    produce(topic_prefix + LISTINGS, listings)
    start(batch=7)
    expected = [tag % i for i in range(200) for tag in (b"l%d", b"s%d")]  # ties: the listing first
    assert echoed(400) == expected


def test_faulty_records_are_found_one_by_one_and_set_aside_whole(
    start: Start,
    echoed: Callable[[int], list[bytes]],
    produce: Callable[..., None],
    read_all: Callable[..., list[Message]],
    topic_prefix: str,
) -> None:
    records = numbered(100)
    for bad, value in ((17, b"faulty"), (18, b"faulty"), (60, b"wrong")):
        records[bad] |= {"key": b"key%d" % bad, "value": value, "headers": [("h", b"\x00\xff")]}
    produce(topic_prefix + SALES, records)
    start()
    values = echoed(99)
    sound = [b"%d" % i for i in range(100) if i not in (17, 18, 60)]
    # What the processor notes of those that it failed on goes with their dead letters.
    assert Counter(values) == Counter([*sound, b"skipped faulty", b"skipped faulty"])

    letters = read_all(f"{topic_prefix}{SALES}.dead-letter")
    found = {letter.key(): (letter, dict(letter.headers() or [])) for letter in letters}
    assert set(found) == {b"key17", b"key18", b"key60"}
    assert len(letters) == 3
    letter, headers = found[b"key17"]
    assert letter.value() == b"faulty"
    assert headers["h"] == b"\x00\xff"
    assert headers["dead_letter_topic"] == SALES.encode()
    assert headers["dead_letter_stage"] == b"process"
    assert headers["dead_letter_error_class"] == b"ValueError"
    assert headers["dead_letter_message"] == b"this one cannot be processed"
    assert int(headers["dead_letter_attempt"] or b"0") > 1
    assert found[b"key60"][1]["dead_letter_stage"] == b"decode"
    assert found[b"key60"][1]["dead_letter_attempt"] == b"1"


def test_too_many_dead_letters_stop_the_worker_and_commit_nothing_of_the_batch(
    start: Start,
    produce: Callable[..., None],
    read_all: Callable[..., list[Message]],
    kafka: str,
    topic_prefix: str,
) -> None:
    produce(topic_prefix + SALES, [{"key": b"k", "value": b"wrong"} for _ in range(200)])
    stopped = start(batch=20, max_ratio=0.3)
    stopped.thread.join(DEADLINE_S)
    assert isinstance(stopped.error, DeadLetterLimitError)
    # 30 of a window of 100 may fail: a batch of up to 20 goes through, no second one of 20 does.
    letters = len(read_all(f"{topic_prefix}{SALES}.dead-letter"))
    assert 0 < letters <= 30
    committed = committed_offsets(kafka, topic_prefix, SALES)
    assert sum(max(offset, 0) for offset in committed) == letters


def test_a_fenced_producer_is_replaced_and_nothing_is_doubled(
    start: Start,
    kafka: str,
    echoed: Callable[[int], list[bytes]],
    produce: Callable[..., None],
    topic_prefix: str,
) -> None:
    processor = Echo()
    fenced = threading.Event()

    def fence() -> None:
        if not fenced.is_set() and processor.provisional:
            fenced.set()
            rival = Producer(
                {"bootstrap.servers": kafka, "transactional.id": f"{topic_prefix}echo-same"}
            )
            rival.init_transactions(30)

    processor.before_commit = fence
    produce(topic_prefix + SALES, numbered(100))
    one = start(processor, identity="same")
    values = echoed(100)
    assert fenced.is_set()
    assert Counter(values) == Counter(b"%d" % i for i in range(100))
    one.stop()
    assert one.error is None


def test_a_restarted_worker_goes_on_where_the_transaction_ended(
    start: Start,
    echoed: Callable[[int], list[bytes]],
    produce: Callable[..., None],
    topic_prefix: str,
) -> None:
    produce(topic_prefix + SALES, numbered(80))
    start().stop()  # may or may not have done some
    produce(topic_prefix + SALES, numbered(80, first=80))
    start()
    assert Counter(echoed(160)) == Counter(b"%d" % i for i in range(160))


class AnswerLost(TransactionalProducer):
    """Loses the answer to its first two commits: one that never stood, and one that stands."""

    lost = 0

    def commit(self, outputs: Any, offsets: Any, consumer: Any) -> dict[tuple[str, int], int]:
        if AnswerLost.lost == 0:
            AnswerLost.lost = 1
            raise OutcomeUnknownError("lost before anything was written")
        written = super().commit(outputs, offsets, consumer)
        if AnswerLost.lost == 1:
            AnswerLost.lost = 2
            raise OutcomeUnknownError("lost after the commit")
        return written


def test_a_commit_whose_answer_is_lost_neither_loses_nor_doubles(
    start: Start,
    echoed: Callable[[int], list[bytes]],
    produce: Callable[..., None],
    topic_prefix: str,
) -> None:
    AnswerLost.lost = 0
    produce(topic_prefix + SALES, numbered(120))
    one = start(producer=AnswerLost)
    values = echoed(120)
    one.stop()
    assert AnswerLost.lost == 2
    assert one.error is None
    assert Counter(values) == Counter(b"%d" % i for i in range(120))
    assert one.processor.open == set()


class RefusedForAWhile(TransactionalProducer):
    """Refuses the first commits, as the coordinator does with a member that was put out."""

    refused = 0

    def commit(self, outputs: Any, offsets: Any, consumer: Any) -> dict[tuple[str, int], int]:
        if RefusedForAWhile.refused < 5:
            RefusedForAWhile.refused += 1
            raise TransactionAbortedError("not a member")
        return super().commit(outputs, offsets, consumer)


def test_refused_commits_are_tried_again_with_full_buffers(
    start: Start,
    echoed: Callable[[int], list[bytes]],
    produce: Callable[..., None],
    topic_prefix: str,
) -> None:
    RefusedForAWhile.refused = 0
    produce(topic_prefix + SALES, numbered(200))
    produce(topic_prefix + LISTINGS, numbered(200, tag="l"))
    one = start(producer=RefusedForAWhile, batch=5)
    values = echoed(400)
    assert RefusedForAWhile.refused == 5
    assert len(set(values)) == len(values) == 400
    assert one.error is None


def test_while_commits_are_refused_no_more_is_fetched_than_the_buffer_holds(
    start: Start,
    echoed: Callable[[int], list[bytes]],
    produce: Callable[..., None],
    topic_prefix: str,
) -> None:
    RefusedForAWhile.refused = -2  # some of the pauses are long enough to fetch it all
    produce(topic_prefix + SALES, numbered(500))
    produce(topic_prefix + LISTINGS, numbered(500, tag="l"))
    one = start(producer=RefusedForAWhile, batch=5)
    assert len(set(echoed(1_000))) == 1_000
    assert one.error is None
    # Twice a batch, one that a poll brings before fetching stops, and the batch in hand.
    assert one.processor.most_waiting <= 2 * 5 + 1 + 5


def test_records_that_are_put_off_hold_up_their_own_partition_only(
    kafka: str,
    start: Start,
    echoed: Callable[[int], list[bytes]],
    produce: Callable[..., None],
    topic_prefix: str,
) -> None:
    put_off = [dict(record, partition=0) for record in numbered(300, tag="off")]
    others = [dict(record, partition=1) for record in numbered(300)]
    processor = Echo()
    processor.puts_off = {0}
    sizes: list[int] = []
    processor.before_commit = lambda: sizes.append(len(processor.provisional))
    produce(topic_prefix + SALES, put_off)
    one = start(processor, batch=5)
    one.processor.wait_to_hold(PARTITIONS)
    produce(topic_prefix + SALES, others)
    values = echoed(300)
    assert values == [record["value"] for record in others]
    # Of each side a batch and a poll at most, and the batch in hand.
    assert processor.most_waiting <= PARTITIONS * (5 + 5) + 5
    assert committed_offsets(kafka, topic_prefix, SALES) == [OFFSET_INVALID, 300]
    assert len([size for size in sizes if size]) < 150  # more than two a batch

    processor.puts_off = set()
    values = echoed(600)
    assert [value for value in values if value.startswith(b"off")] == [r["value"] for r in put_off]
    assert len(values) == 600
    assert one.error is None


class SlowToStart(TransactionalProducer):
    """Cannot be started for a while, as when the coordinator is not there."""

    tried_at: list[float]

    def start(self) -> None:
        SlowToStart.tried_at.append(time.monotonic())
        if len(SlowToStart.tried_at) <= 4:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        super().start()


def test_a_producer_that_cannot_be_started_is_tried_again_after_growing_pauses(
    start: Start,
    echoed: Callable[[int], list[bytes]],
    produce: Callable[..., None],
    topic_prefix: str,
) -> None:
    SlowToStart.tried_at = []
    produce(topic_prefix + SALES, numbered(3))
    one = start(producer=SlowToStart)
    assert len(echoed(3)) == 3
    assert one.error is None
    pauses = [later - at for at, later in pairwise(SlowToStart.tried_at)]
    assert len(pauses) == 4
    assert all(pause >= 0.02 * 2**n for n, pause in enumerate(pauses))


def test_what_is_written_before_the_first_record_carries_positions(
    start: Start, echoed: Callable[[int], list[bytes]], kafka: str, topic_prefix: str
) -> None:
    processor = Echo()
    processor.owes = {0, 1}
    one = start(processor)
    assert sorted(echoed(2)) == [b"owed 0", b"owed 1"]
    one.stop()
    assert one.error is None
    # The group's coordinator sees by them whether the member is still one of it.
    assert committed_offsets(kafka, topic_prefix, SALES, LISTINGS) == [0] * 4


def test_partition_counts_that_differ_are_refused(
    kafka: str, make_topic: Callable[..., str], topic_prefix: str
) -> None:
    options: Options = {"bootstrap.servers": kafka}
    two = make_topic(topic_prefix + "two", 2)
    three = make_topic(topic_prefix + "three", 3)
    assert co_partitions(options, [two]) == 2
    with pytest.raises(ConfigurationError, match="different numbers of partitions"):
        co_partitions(options, [two, three])
    with pytest.raises(ConfigurationError, match="secondsight topics"):
        co_partitions(options, [two, topic_prefix + "absent"])
