"""A transactional loop on a real broker, and what it has written."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from prometheus_client import CollectorRegistry

from tests.workers.runtime.echo import (
    DEADLINE_S,
    ECHO,
    LISTINGS,
    PARTITIONS,
    SALES,
    Echo,
    RefuseStarts,
    Running,
    Start,
)
from workers.runtime.clients import ClientOptions
from workers.runtime.dead_letters import DeadLetters
from workers.runtime.loop import TransactionalLoop
from workers.runtime.metrics import LoopMetrics
from workers.runtime.positions import start_positions
from workers.runtime.transaction import TransactionalProducer


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
        on_beat: Callable[[], None] = lambda: None,
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
            on_beat=on_beat,
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


@pytest.fixture
def refuse_starts(monkeypatch: pytest.MonkeyPatch) -> RefuseStarts:
    """Lets the cluster refuse to tell where to read on: `refuse_starts(error_code_of_partition)`.

    Where that returns None the cluster is asked for real.
    """

    def refuse(error_of: Callable[[int], int | None]) -> None:
        def hesitant(
            consumer: Consumer, places: Sequence[TopicPartition], restored: Mapping[str, int]
        ) -> list[TopicPartition]:
            if (code := error_of(places[0].partition)) is not None:
                raise KafkaException(KafkaError(code))
            return start_positions(consumer, places, restored)

        monkeypatch.setattr("workers.runtime.partitions.start_positions", hesitant)

    return refuse
