"""Fixtures that any test may use: the real broker of the session and short ways to use it."""

import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from workers.local.broker import LocalBroker

DEADLINE_S = 60.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Bootstrap servers of a real broker: the configured one, else one for this session."""
    configured = os.environ.get("SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS")
    if configured:
        yield configured
        return
    with LocalBroker() as broker:
        yield broker.bootstrap_servers


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topics, groups and transactional ids that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}."


@pytest.fixture
def make_topic(kafka: str) -> Callable[..., str]:
    """Creates a topic and returns its name: `make_topic(name, partitions=1, config=None)`."""

    def make(name: str, partitions: int = 1, config: dict[str, str] | None = None) -> str:
        admin = AdminClient({"bootstrap.servers": kafka})
        topic = NewTopic(name, partitions, 1, config=config or {})
        admin.create_topics([topic], operation_timeout=30)[name].result(DEADLINE_S)
        return name

    return make


@pytest.fixture
def produce(kafka: str) -> Callable[..., None]:
    """Produces records and waits until all are stored: `produce(topic, records)`.

    A record is a dict of what `Producer.produce` takes: value, key, headers, partition, timestamp.
    """

    def send(topic: str, records: Sequence[dict[str, Any]]) -> None:
        errors: list[KafkaError] = []
        producer = Producer(
            {
                "bootstrap.servers": kafka,
                "partitioner": "murmur2_random",
                "message.max.bytes": 4 * 2**20,
            }
        )
        for record in records:
            producer.produce(
                topic,
                on_delivery=lambda error, _: errors.append(error) if error else None,
                **record,
            )
        assert producer.flush(DEADLINE_S) == 0
        if errors:
            raise KafkaException(errors[0])

    return send


@pytest.fixture
def read_all(kafka: str) -> Callable[..., list[Message]]:
    """Reads the committed records of a topic to its end: `read_all(topic)`.

    By partition, then offset; with `isolation="read_uncommitted"` aborted records come too.
    """

    def read(topic: str, *, isolation: str = "read_committed") -> list[Message]:
        consumer = Consumer(
            {
                "bootstrap.servers": kafka,
                "group.id": f"read-all-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": isolation,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "fetch.message.max.bytes": 4 * 2**20,
            }
        )
        try:
            partitions = consumer.list_topics(topic, timeout=DEADLINE_S).topics[topic].partitions
            assert partitions, f"topic {topic} does not exist"
            consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
            records: list[Message] = []
            unfinished = set(partitions)
            deadline = time.monotonic() + DEADLINE_S
            while unfinished:
                assert time.monotonic() < deadline, f"{topic} has no end in partitions {unfinished}"
                for message in consumer.consume(10_000, 0.1):
                    error = message.error()
                    if error is None:
                        records.append(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        unfinished.discard(message.partition())
                    else:
                        raise KafkaException(error)
        finally:
            consumer.close()
        return sorted(records, key=lambda record: (record.partition(), record.offset()))

    return read
