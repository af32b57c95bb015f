"""A client that has lost its cluster is told from a topic that is quiet."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from workers.errors import WorkersError
from workers.runtime.clients import ClientOptions
from workers.runtime.cluster_watch import ClusterWatch

DEADLINE_S = 60.0


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Asked(Consumer):
    """A real consumer that counts how often it asks."""

    asked = 0

    def list_topics(self, *args: Any, **options: Any) -> Any:
        self.asked += 1
        return super().list_topics(*args, **options)


@pytest.fixture
def consumer_of() -> Iterator[Callable[[str], Asked]]:
    consumers: list[Asked] = []

    def make(servers: str) -> Asked:
        options = ClientOptions(bootstrap_servers=servers).log_reader()
        consumers.append(Asked({**options, "log_level": 0}))
        return consumers[-1]

    yield make
    for consumer in consumers:
        consumer.close()


def test_a_quiet_topic_is_asked_about_now_and_then_and_goes_on(
    kafka: str, make_topic: Callable[..., str], topic_prefix: str, consumer_of: Callable[..., Asked]
) -> None:
    topic = make_topic(topic_prefix + "quiet", 1)
    consumer, clock = consumer_of(kafka), Clock()
    watch = ClusterWatch(consumer, topic, clock=clock)
    for _ in range(30):
        clock.now += 10.0
        watch.polled([])
    assert consumer.asked == 15


def test_messages_and_ends_of_logs_are_signs_of_life(
    kafka: str,
    make_topic: Callable[..., str],
    produce: Callable[..., None],
    topic_prefix: str,
    consumer_of: Callable[..., Asked],
) -> None:
    topic = make_topic(topic_prefix + "lively", 1)
    produce(topic, [{"value": b"x"}])
    consumer, clock = consumer_of(kafka), Clock()
    consumer.assign([TopicPartition(topic, 0, 0)])
    record, end = _next(consumer), _next(consumer)
    assert record.error() is None
    assert end.error() is not None
    watch = ClusterWatch(consumer, topic, clock=clock)
    for messages in ([record], [end], [record, end]):
        clock.now += 500.0
        watch.polled(messages)
    assert consumer.asked == 0


def test_a_cluster_that_does_not_answer_for_long_ends_the_client(
    consumer_of: Callable[[str], Asked],
) -> None:
    consumer, clock = consumer_of("127.0.0.1:1"), Clock()  # nobody listens there
    watch = ClusterWatch(consumer, "any", give_up_after=30.0, clock=clock)
    clock.now += 21.0
    watch.polled([])
    watch.polled([])
    assert consumer.asked == 1
    clock.now += 21.0
    with pytest.raises(WorkersError, match="has not answered for 42 s"):
        watch.polled([])


def _next(consumer: Consumer) -> Message:
    message = consumer.poll(DEADLINE_S)
    assert message is not None
    return message
