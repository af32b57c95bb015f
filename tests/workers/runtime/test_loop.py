"""The transactional loop on a real broker: exactly once through poison, faults and rebalances."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from prometheus_client import CollectorRegistry

from workers.errors import ConfigurationError, WorkersError
from workers.runtime.clients import ClientOptions, Options
from workers.runtime.cluster import co_partitions
from workers.runtime.dead_letters import DeadLetterLimitError, DeadLetters
from workers.runtime.loop import TransactionalLoop
from workers.runtime.metrics import LoopMetrics
from workers.runtime.positions import start_positions
from workers.runtime.processing import Output, Record, Rejected
from workers.runtime.transaction import (
    OutcomeUnknownError,
    TransactionAbortedError,
    TransactionalProducer,
)

PARTITIONS = 2
SALES, LISTINGS, ECHO = "sales", "listings", "echo"
DEADLINE_S = 60.0


class Echo:
    """Copies each record; fails on a value that says so, as code with a fault would."""

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.changed = threading.Condition()
        self.seen: list[tuple[str, int, int]] = []
        self.provisional: list[tuple[str, int, int]] = []
        self.starts: dict[int, Mapping[str, int]] = {}
        self.restoring = threading.Event()  # a restore is under way
        self.restored = threading.Event()  # and may end
        self.restored.set()
        self.open: set[int] = set()
        self.before_commit: Callable[[], None] = lambda: None
        self.owes: set[int] = set()  # partitions of which something is to be written
        self.waiting = self.most_waiting = 0  # records that arrived and are not committed

    def assigned(self, partition: int) -> Mapping[str, int]:
        assert partition not in self.open, "opened twice"
        self.restoring.set()
        assert self.restored.wait(DEADLINE_S)
        self.open.add(partition)
        with self.changed:
            self.held.add(partition)
            self.changed.notify_all()
        return self.starts.get(partition, {})

    def revoked(self, partition: int) -> None:
        self.restored.set()
        self.open.discard(partition)
        with self.changed:
            self.held.discard(partition)
            self.changed.notify_all()

    def wait_to_hold(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.held) == count, DEADLINE_S)

    def arrived(self, records: Sequence[Record]) -> None:
        self.waiting += len(records)
        self.most_waiting = max(self.most_waiting, self.waiting)

    def process(self, records: Sequence[Record]) -> Sequence[Output | Rejected]:
        results: list[Output | Rejected] = [
            Output(ECHO, partition, None, b"owed %d" % partition, [], 1_000)
            for partition in self.owes & self.held
        ]
        for record in records:
            assert record.partition in self.held
            if record.value == b"faulty":
                raise ValueError("this one cannot be processed")
            if record.value == b"wrong":
                results.append(Rejected(record, "decode", KeyError("no such field")))
                continue
            self.provisional.append((record.topic, record.partition, record.offset))
            results.append(
                Output(ECHO, record.partition, record.key, record.value, [], record.timestamp_ms)
            )
        self.before_commit()
        return results

    def skip(self, record: Record) -> Sequence[Output]:
        note = b"skipped " + (record.value or b"")
        return [Output(ECHO, record.partition, record.key, note, [], record.timestamp_ms)]

    def committed(self, written: Mapping[tuple[str, int], int]) -> None:
        self.waiting -= len(self.provisional)
        self.owes -= self.held
        self.seen += self.provisional
        self.provisional = []

    def aborted(self) -> None:
        self.provisional = []

    def due(self) -> bool:
        return bool(self.owes & self.held)


class Running:
    """A loop in a thread of its own."""

    def __init__(self, loop: TransactionalLoop, processor: Echo) -> None:
        self.loop, self.processor = loop, processor
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.loop.run()
        except BaseException as error:  # noqa: BLE001  handed to the test
            self.error = error

    def stop(self) -> None:
        self.loop.stop()
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive()


Start = Callable[..., Running]


@pytest.fixture
def start(kafka: str, topic_prefix: str, make_topic: Callable[..., str]) -> Iterator[Start]:
    for name in (SALES, LISTINGS, ECHO, f"{SALES}.dead-letter", f"{LISTINGS}.dead-letter"):
        make_topic(topic_prefix + name, PARTITIONS)
    running: list[Running] = []
    options = ClientOptions(bootstrap_servers=kafka, transaction_timeout_ms=10_000)

    def begin(
        processor: Echo | None = None,
        *,
        identity: str | None = None,
        producer: type[TransactionalProducer] = TransactionalProducer,
        batch: int = 50,
        max_ratio: float = 0.5,
    ) -> Running:
        processor = processor or Echo()
        group = f"{topic_prefix}echo"
        loop = TransactionalLoop(
            processor,
            consumer=Consumer(options.group_consumer(group)),
            producer=producer(
                options.transactional_producer(f"{group}-{identity or len(running)}"),
                physical=lambda topic: topic_prefix + topic,
                timeout=10.0,
            ),
            inputs=[SALES, LISTINGS],
            topic_prefix=topic_prefix,
            dead_letters=DeadLetters(max_ratio=max_ratio, window=100),
            metrics=LoopMetrics(CollectorRegistry()),
            batch_max_records=batch,
            batch_max_wait=0.005,
            max_idle=0.02,
        )
        running.append(Running(loop, processor))
        return running[-1]

    yield begin
    for one in running:
        one.stop()


@pytest.fixture
def echoed(
    topic_prefix: str, read_all: Callable[..., list[Message]]
) -> Callable[[int], list[bytes]]:
    """Waits until that many records were echoed, and returns their values."""

    def wait(count: int) -> list[bytes]:
        deadline = time.monotonic() + DEADLINE_S
        while len(records := read_all(topic_prefix + ECHO)) < count:
            assert time.monotonic() < deadline, f"{len(records)} of {count} after {DEADLINE_S} s"
        return [record.value() or b"" for record in records]

    return wait


def numbered(count: int, *, tag: str = "", first: int = 0) -> list[dict[str, Any]]:
    return [
        {"key": b"k%d" % i, "value": f"{tag}{i}".encode(), "timestamp": 1_000 + i}
        for i in range(first, first + count)
    ]


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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusals = [KafkaError._TRANSPORT, KafkaError._UNKNOWN_PARTITION]

    def hesitant(*args: Any) -> list[TopicPartition]:
        if refusals:
            raise KafkaException(KafkaError(refusals.pop()))
        return start_positions(*args)

    monkeypatch.setattr("workers.runtime.loop.start_positions", hesitant)
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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = threading.Event()

    def hesitant(
        consumer: Consumer, places: Sequence[TopicPartition], restored: Mapping[str, int]
    ) -> list[TopicPartition]:
        if places[0].partition == 0 and not told.is_set():
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return start_positions(consumer, places, restored)

    monkeypatch.setattr("workers.runtime.loop.start_positions", hesitant)
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


def test_positions_that_the_group_may_not_read_end_the_worker(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object) -> list[TopicPartition]:
        raise KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))

    monkeypatch.setattr("workers.runtime.loop.start_positions", refused)
    one = start()
    one.thread.join(DEADLINE_S)
    assert isinstance(one.error, WorkersError)
    assert "cannot go on" in str(one.error)


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
