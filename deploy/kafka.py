"""The topics and users of Kafka as resources of Strimzi, made from the contract."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from deploy.settings import DEPLOYED
from schemas.topics import DEAD_LETTER_TOPICS, TOPICS, TopicSpec
from workers.runtime.access import ACCESS, Access
from workers.runtime.service import group_of
from workers.runtime.settings import Settings

API = "kafka.strimzi.io/v1"
CLUSTER = "secondsight"
_LABELS = {"strimzi.io/cluster": CLUSTER}
_ALL_TOPICS = {**TOPICS, **DEAD_LETTER_TOPICS}


def topics() -> list[dict[str, Any]]:
    """Return a KafkaTopic for every topic of the contract and every dead-letter topic."""
    settings = Settings(**DEPLOYED)
    return [
        _topic(spec, settings.partitions, settings.replication_factor)
        for spec in _ALL_TOPICS.values()
    ]


def users() -> list[dict[str, Any]]:
    """Return a KafkaUser for every worker, for the job that checks the topics, and for KEDA."""
    settings = Settings(**DEPLOYED)
    compared = {name: {"Describe", "DescribeConfigs"} for name in _ALL_TOPICS}
    return [
        *(_user(name, acls(access, group_of(settings, name))) for name, access in ACCESS.items()),
        _user("topics", _on_topics(compared)),  # Strimzi makes them
        _user("keda", _scaler_acls(settings)),
    ]


def acls(access: Access, group: str) -> list[dict[str, Any]]:
    """Return what a worker may do: all that its declaration says, and nothing else."""
    operations: dict[str, set[str]] = {}
    for topic in access.reads:
        operations.setdefault(topic, set()).update(("Describe", "Read"))
    for topic in access.writes:
        operations.setdefault(topic, set()).update(("Describe", "Write"))
    found = _on_topics(operations)
    own = f"{group}-"
    if access.inputs:
        found.append(_acl("group", group, {"Describe", "Read"}))
    if access.transactional:
        found.append(_acl("transactionalId", own, {"Describe", "Write"}, prefix=True))
    return found


def text_of(resources: Iterable[Mapping[str, Any]]) -> str:
    """Return resources as the text of one file."""
    head = "# Made by `make manifests` from the code.\n"
    return head + yaml.safe_dump_all(resources, sort_keys=False, width=100)


def _topic(spec: TopicSpec, partitions: int, replicas: int) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "KafkaTopic",
        "metadata": {"name": spec.name, "labels": _LABELS},
        "spec": {
            "topicName": spec.name,
            "partitions": spec.partitions(partitions),
            "replicas": replicas,
            "config": spec.config(replicas),
        },
    }


def _user(name: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "KafkaUser",
        "metadata": {"name": name, "labels": _LABELS},
        "spec": {
            "authentication": {"type": "tls"},
            "authorization": {"type": "simple", "acls": rules},
        },
    }


def _scaler_acls(settings: Settings) -> list[dict[str, Any]]:
    """KEDA compares the ends of a group's inputs with the offsets that the group committed."""
    suggest = ACCESS["suggest"]
    group = _acl("group", group_of(settings, suggest.name), {"Describe"})
    return [*_on_topics({topic: {"Describe"} for topic in suggest.inputs}), group]


def _on_topics(operations: Mapping[str, set[str]]) -> list[dict[str, Any]]:
    return [_acl("topic", topic, operations[topic]) for topic in sorted(operations)]


def _acl(kind: str, name: str, operations: set[str], *, prefix: bool = False) -> dict[str, Any]:
    return {
        "resource": {
            "type": kind,
            "name": name,
            "patternType": "prefix" if prefix else "literal",
        },
        "operations": sorted(operations),
    }
