"""Creates the topics of the contract on a cluster, or says in what the cluster's differ."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    ResourceType,
    TopicMetadata,
)
from confluent_kafka.cimpl import NewTopic

from schemas.topics import DEAD_LETTER_TOPICS, FOREVER, TOPICS
from workers.errors import ConfigurationError, WorkersError

TIMEOUT_S = 30.0
CLEANUP_POLICY = "cleanup.policy"
# An answer that a later try of the same command cannot change.
_LASTING = frozenset(
    {
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
    }
)


@dataclass(frozen=True)
class WantedTopic:
    """A topic as it should be: its name on the cluster, partitions, copies and configuration."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class TopicState:
    """A topic as it was found, or as it was just created.

    Attributes:
        name: on the cluster.
        partitions: how many there are; 0: the topic is missing.
        config: those of its configurations that the contract sets; none when missing.
        created: by this call.
        conflicts: what differs and stops the system from working right; nobody changes it for
            the operator.
        notes: what differs and may be meant so, such as a longer retention.
    """

    name: str
    partitions: int
    config: Mapping[str, str]
    created: bool
    conflicts: tuple[str, ...]
    notes: tuple[str, ...]


def wanted_topics(
    *, prefix: str, partitions: int, replication_factor: int, keep_all: bool = False
) -> list[WantedTopic]:
    """Return every topic of the contract and every dead-letter topic.

    Args:
        prefix: put before each name.
        partitions: of each co-partitioned topic.
        replication_factor: of each topic.
        keep_all: keep records for ever. For one machine: a replay carries record timestamps of
            long ago, which a retention would delete at once.
    """
    topics = []
    for spec in (*TOPICS.values(), *DEAD_LETTER_TOPICS.values()):
        config = spec.config(replication_factor)
        if keep_all:
            config["retention.ms"] = str(FOREVER)
        count = spec.partitions(partitions)
        topics.append(WantedTopic(prefix + spec.name, count, replication_factor, config))
    return topics


def create_topics(
    options: Mapping[str, Any],
    *,
    prefix: str,
    partitions: int,
    replication_factor: int,
    keep_all: bool = False,
) -> list[TopicState]:
    """Create the topics that are missing, wait until clients see them, and compare all.

    What exists is left as it is. May be called again, and by several processes at once.

    Args:
        options: librdkafka options of an admin client.
        prefix: put before each name.
        partitions: of each co-partitioned topic.
        replication_factor: of each topic.
        keep_all: keep records for ever, as in `wanted_topics`.

    Raises:
        ConfigurationError: the cluster refuses, and would refuse again.
        WorkersError: the cluster does not answer.
    """
    wanted = wanted_topics(
        prefix=prefix,
        partitions=partitions,
        replication_factor=replication_factor,
        keep_all=keep_all,
    )
    admin = AdminClient({**options})
    existing = _metadata(admin)
    missing = [topic for topic in wanted if topic.name not in existing]
    created = _create(admin, missing) if missing else frozenset()
    _await_leaders(admin, missing)
    return _compare(admin, wanted, created)


def check_topics(
    options: Mapping[str, Any], *, prefix: str, partitions: int, replication_factor: int
) -> list[TopicState]:
    """Compare the topics with the contract and change nothing; otherwise as `create_topics`."""
    wanted = wanted_topics(
        prefix=prefix, partitions=partitions, replication_factor=replication_factor
    )
    return _compare(AdminClient({**options}), wanted, created=frozenset())


def _metadata(admin: AdminClient) -> dict[str, TopicMetadata]:
    try:
        return dict(admin.list_topics(timeout=TIMEOUT_S).topics)
    except KafkaException as error:
        raise _explained(error) from error


def _create(admin: AdminClient, missing: Sequence[WantedTopic]) -> frozenset[str]:
    new = [
        NewTopic(topic.name, topic.partitions, topic.replication_factor, config=dict(topic.config))
        for topic in missing
    ]
    created = set()
    for name, future in admin.create_topics(new, operation_timeout=TIMEOUT_S).items():
        try:
            future.result()
            created.add(name)
        except KafkaException as error:
            # Another process was faster; whether it made the same is seen in the comparison.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise _explained(error, f"The topic {name} could not be created. ") from error
    return frozenset(created)


def _await_leaders(admin: AdminClient, topics: Sequence[WantedTopic]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    waiting = {topic.name for topic in topics}
    while waiting:
        seen = _metadata(admin)
        waiting = {name for name in waiting if name not in seen or not _has_leaders(seen[name])}
        if time.monotonic() > deadline:
            raise WorkersError(
                f"Created, but without a leader after {TIMEOUT_S:.0f} s: "
                f"{', '.join(sorted(waiting))}. Look whether all brokers of the cluster are up."
            )
        if waiting:
            time.sleep(0.05)


def _has_leaders(topic: TopicMetadata) -> bool:
    leaders = [partition.leader for partition in topic.partitions.values()]
    return bool(leaders) and min(leaders) >= 0


def _compare(
    admin: AdminClient, wanted: Sequence[WantedTopic], created: frozenset[str]
) -> list[TopicState]:
    found = _metadata(admin)
    configs = _configs(admin, [topic.name for topic in wanted if topic.name in found])
    return [
        _state(topic, found[topic.name], configs[topic.name], created=topic.name in created)
        if topic.name in found
        else TopicState(topic.name, 0, {}, False, ("it is missing",), ())
        for topic in wanted
    ]


def _configs(admin: AdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    configs = {}
    for resource, future in admin.describe_configs(resources, request_timeout=TIMEOUT_S).items():
        try:
            entries = future.result()
        except KafkaException as error:
            raise _explained(error) from error
        configs[str(resource.name)] = {name: str(entry.value) for name, entry in entries.items()}
    return configs


def _state(
    wanted: WantedTopic, found: TopicMetadata, config: Mapping[str, str], *, created: bool
) -> TopicState:
    conflicts, notes = [], []
    if (count := len(found.partitions)) != wanted.partitions:
        conflicts.append(
            f"it has {_partitions(count)}, not {wanted.partitions}; to change that would move "
            "sellers between partitions, so take another SECONDSIGHT_TOPIC_PREFIX, or, where all "
            "topics agree, set SECONDSIGHT_PARTITIONS to their number"
        )
    if (copies := min(len(p.replicas) for p in found.partitions.values())) != (
        wanted.replication_factor
    ):
        notes.append(f"replication factor is {copies}, not {wanted.replication_factor}")
    for name, value in wanted.config.items():
        if set(config[name].split(",")) == set(value.split(",")):
            continue
        difference = f"{name} is {config[name]}, not {value}"
        if name == CLEANUP_POLICY:
            conflicts.append(f"{difference}; change it with Kafka's own kafka-configs")
        else:
            notes.append(difference)
    shown = {name: config[name] for name in wanted.config}
    return TopicState(wanted.name, count, shown, created, tuple(conflicts), tuple(notes))


def _partitions(count: int) -> str:
    return "1 partition" if count == 1 else f"{count} partitions"


def _explained(error: KafkaException, what: str = "") -> WorkersError:
    reason: KafkaError = error.args[0]
    if reason.code() in _LASTING:
        return ConfigurationError(f"{what}The Kafka cluster refuses it: {reason.str()}")
    return WorkersError(
        f"{what}No good answer from Kafka: {reason.str()}. Check that it runs at "
        "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS and can be reached from here, and try again."
    )
