"""The one-machine Kafka as a child process."""

from collections.abc import Callable

from confluent_kafka import Message


def test_records_come_back_in_order(
    topic_prefix: str,
    make_topic: Callable[..., str],
    produce: Callable[..., None],
    read_all: Callable[..., list[Message]],
) -> None:
    topic = make_topic(topic_prefix + "orders", partitions=1)
    produce(topic, [{"key": b"k", "value": bytes([n])} for n in range(200)])
    assert [record.value() for record in read_all(topic)] == [bytes([n]) for n in range(200)]
