"""What is asked of the cluster about its topics, from outside of any group."""

import time
from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from workers.errors import ConfigurationError, WorkersError
from workers.runtime.clients import Options

_TIMEOUT_S = 30.0
_PAUSE_S = 0.05

# A new topic has a leader a little before that leader knows, and leaders change.
_SOON_BETTER = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)


def partitions_of(options: Options, topics: Iterable[str]) -> dict[str, int]:
    """Return how many partitions each topic has, by its name on the cluster.

    Raises:
        ConfigurationError: a topic is missing.
        WorkersError: the cluster does not answer.
    """
    admin = AdminClient(options)
    try:
        known = admin.list_topics(timeout=_TIMEOUT_S).topics
    except KafkaException as error:
        raise WorkersError(
            f"Kafka at {options['bootstrap.servers']} does not answer: {error.args[0].str()}"
        ) from error
    numbers = {topic: len(known[topic].partitions) if topic in known else 0 for topic in topics}
    if missing := sorted(topic for topic, number in numbers.items() if not number):
        raise ConfigurationError(
            f"topics missing on the cluster: {', '.join(missing)}; create them with "
            f"'secondsight topics' (with --keep-all where old events are replayed)"
        )
    return numbers


def co_partitions(options: Options, topics: Iterable[str]) -> int:
    """Return the number of partitions that all of the topics have.

    Raises:
        ConfigurationError: a topic is missing, or the numbers differ.
        WorkersError: the cluster does not answer.
    """
    numbers = partitions_of(options, topics)
    if len(set(numbers.values())) > 1:
        listed = ", ".join(f"{topic} {number}" for topic, number in sorted(numbers.items()))
        raise ConfigurationError(
            f"topics that belong together have different numbers of partitions ({listed}); a "
            f"seller's events would be torn apart. Give all of them the same number"
        )
    return next(iter(numbers.values()))


def topic_name_for_ever(options: Options, topic: str) -> str:
    """Return a name of a topic that no other has: not one of another cluster, nor a later one.

    Raises:
        WorkersError: the cluster does not answer.
    """
    admin = AdminClient(options)
    try:
        cluster = admin.list_topics(topic, timeout=_TIMEOUT_S).cluster_id
        answer = admin.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT_S)
        return f"{topic}@{cluster}@{answer[topic].result().topic_id}"
    except KafkaException as error:
        raise WorkersError(f"no good answer from Kafka: {error.args[0].str()}") from error


def high_watermarks(
    options: Options, places: Sequence[tuple[str, int]]
) -> Mapping[tuple[str, int], int]:
    """Return the end of each (topic, partition), records of open transactions included.

    Raises:
        WorkersError: the cluster does not answer.
    """
    return _offsets(options, places, OffsetSpec.latest())  # type: ignore[no-untyped-call]


def low_watermarks(
    options: Options, places: Sequence[tuple[str, int]]
) -> Mapping[tuple[str, int], int]:
    """Return the first offset of each (topic, partition) that was not deleted.

    Raises:
        WorkersError: the cluster does not answer.
    """
    return _offsets(options, places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]


def _offsets(
    options: Options, places: Sequence[tuple[str, int]], which: OffsetSpec
) -> Mapping[tuple[str, int], int]:
    admin = AdminClient(options)
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        answers = admin.list_offsets(
            {TopicPartition(*place): which for place in places},
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=_TIMEOUT_S,
        )
        try:
            return {
                (where.topic, where.partition): int(answer.result().offset)
                for where, answer in answers.items()
            }
        except KafkaException as error:
            reason = error.args[0]
            if reason.code() not in _SOON_BETTER or time.monotonic() > deadline:
                raise WorkersError(f"no good answer from Kafka: {reason.str()}") from error
        time.sleep(_PAUSE_S)
