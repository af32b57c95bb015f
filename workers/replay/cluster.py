"""What recording and replaying ask the cluster about topics."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.admin._listoffsets import OffsetSpec

from schemas.topics import FOREVER
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
_HOUR_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """What a topic does with timestamps; the defaults are Kafka's own.

    Attributes:
        ahead_ms: a record that far ahead of the broker's clock is refused.
        retention_ms: an older record is deleted soon after it was written; FOREVER: none is.
    """

    ahead_ms: int = _HOUR_MS
    retention_ms: int = FOREVER


def partitions_of(options: Options, topics: Iterable[str]) -> dict[str, int]:
    """Return how many partitions each topic has, by its name on the cluster.

    Raises:
        ConfigurationError: a topic is missing.
        WorkersError: the cluster does not answer.
    """
    try:
        known = AdminClient(options).list_topics(timeout=_TIMEOUT_S).topics
    except KafkaException as error:
        raise WorkersError(f"no good answer from Kafka: {error.args[0].str()}") from error
    numbers = {topic: len(known[topic].partitions) if topic in known else 0 for topic in topics}
    if missing := sorted(topic for topic, number in numbers.items() if not number):
        raise ConfigurationError(
            f"topics missing on the cluster: {', '.join(missing)}; create them with "
            f"'secondsight topics --keep-all'"
        )
    return numbers


def time_limits_of(options: Options, topics: Iterable[str]) -> dict[str, TimeLimits]:
    """Return what each topic does with timestamps, by its name on the cluster.

    Who may write to a topic need not be allowed to see its configuration: then the limits are
    Kafka's own.
    """
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
    if not resources:
        return {}
    admin = AdminClient(options)  # kept until it has answered: with it its requests end
    limits = {}
    for resource, answer in admin.describe_configs(resources, request_timeout=_TIMEOUT_S).items():
        try:
            entries = answer.result()
            limits[str(resource.name)] = TimeLimits(
                ahead_ms=int(entries["message.timestamp.after.max.ms"].value),
                retention_ms=int(entries["retention.ms"].value)
                if "delete" in entries["cleanup.policy"].value
                else FOREVER,
            )
        except KafkaException:
            limits[str(resource.name)] = TimeLimits()
    return limits


def high_watermarks(
    options: Options, places: Sequence[tuple[str, int]]
) -> Mapping[tuple[str, int], int]:
    """Return the end of each (topic, partition), records of open transactions included.

    Raises:
        WorkersError: the cluster does not answer.
    """
    admin = AdminClient(options)
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        answers = admin.list_offsets(
            {TopicPartition(*place): OffsetSpec.latest() for place in places},  # type: ignore[no-untyped-call]
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
