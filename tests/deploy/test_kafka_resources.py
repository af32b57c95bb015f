"""Strimzi's topics and users say what the contract and the code of the workers say."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import schemas.topics
from schemas.dead_letter import dead_letter_topic
from schemas.topics import DEAD_LETTER_TOPICS, MODELS, TOPICS
from tests.deploy.rendered import K8S, Resource, containers, rendered, resources, workloads
from workers.runtime.access import ACCESS
from workers.topics import wanted_topics

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def production(kustomize: None) -> list[Resource]:
    return resources(rendered(K8S / "overlays" / "prod"))


@pytest.fixture(scope="module")
def users(production: list[Resource]) -> dict[str, list[Any]]:
    """The rules of each user."""
    return {
        each["metadata"]["name"]: each["spec"]["authorization"]["acls"]
        for each in production
        if each["kind"] == "KafkaUser"
    }


def on_topics(acls: list[Any], operation: str) -> set[str]:
    return {
        each["resource"]["name"]
        for each in acls
        if each["resource"]["type"] == "topic"
        and each["resource"]["patternType"] == "literal"
        and operation in each["operations"]
    }


def test_every_topic_is_made_as_the_command_would_make_it(production: list[Resource]) -> None:
    made = {
        each["spec"]["topicName"]: each["spec"]
        for each in production
        if each["kind"] == "KafkaTopic"
    }
    assert made.keys() == {*TOPICS, *DEAD_LETTER_TOPICS}
    [settings] = [
        each["data"]
        for each in production
        if each["kind"] == "ConfigMap" and "SECONDSIGHT_PARTITIONS" in each["data"]
    ]
    wanted = wanted_topics(
        prefix=settings["SECONDSIGHT_TOPIC_PREFIX"],
        partitions=int(settings["SECONDSIGHT_PARTITIONS"]),
        replication_factor=int(settings["SECONDSIGHT_REPLICATION_FACTOR"]),
    )
    for topic in wanted:
        assert made[topic.name]["partitions"] == topic.partitions
        assert made[topic.name]["replicas"] == topic.replication_factor == 3
        assert made[topic.name]["config"] == topic.config


def test_every_pod_that_uses_kafka_has_the_certificate_of_its_user(
    production: list[Resource], users: dict[str, list[Any]]
) -> None:
    used = set()
    for workload in workloads(production):
        secrets = {
            each["name"]: each["secret"]["secretName"]
            for each in workload.pod["volumes"]
            if "secret" in each
        }
        if workload.name == "train":
            assert secrets == {}
            continue
        assert secrets.keys() == {"kafka-cluster", "kafka-user"}, str(workload)
        assert secrets["kafka-user"] == workload.pod["serviceAccountName"]
        used.add(secrets["kafka-user"])
        [container] = containers(workload.pod)
        told = {each["name"]: each.get("value", "") for each in container["env"]}
        assert '"security.protocol": "SSL"' in told["SECONDSIGHT_KAFKA_OPTIONS"]
    assert users.keys() == used | {"keda"}


def test_nobody_may_all(users: dict[str, list[Any]]) -> None:
    for acls in users.values():
        for each in acls:
            assert each["resource"]["type"] in {"topic", "group", "transactionalId"}
            assert each["resource"]["name"] != "*"
            may = set(each["operations"])
            assert not may & {"All", "Alter", "AlterConfigs", "Delete", "ClusterAction"}
            if each["resource"]["patternType"] == "prefix":
                assert each["resource"]["name"].startswith("secondsight-")


@pytest.mark.parametrize("name", ACCESS)
def test_a_worker_may_what_its_code_declares_and_no_more(
    name: str, users: dict[str, list[Any]]
) -> None:
    access, acls = ACCESS[name], users[name]
    assert on_topics(acls, "Read") == {*access.inputs, *access.follows}
    set_aside = {
        dead_letter_topic(topic)
        for topic in (*access.inputs, *access.follows)
        if access.sets_aside and TOPICS[topic].dead_letters
    }
    back = set(access.inputs) if access.sends_on else set()
    assert on_topics(acls, "Write") == {*access.outputs, *back, *set_aside}
    groups = [each for each in acls if each["resource"]["type"] == "group"]
    assert [each["resource"]["name"] for each in groups] == (
        [f"secondsight-{name}"] if access.inputs else []
    )
    ids = [each["resource"] for each in acls if each["resource"]["type"] == "transactionalId"]
    prefix = {"type": "transactionalId", "name": f"secondsight-{name}-", "patternType": "prefix"}
    assert ids == ([prefix] if access.transactional else [])


@pytest.mark.parametrize("name", ["stats", "suggest", "outcomes", "retrain", "drift"])
def test_the_code_of_a_worker_names_no_topic_that_it_does_not_declare(name: str) -> None:
    access = ACCESS[name]
    declared = {*access.reads, *access.writes}
    named = set(topics_named_in(ROOT / "workers" / name))
    assert named <= declared
    if name == "suggest":
        assert MODELS in named  # the test finds what there is


def topics_named_in(folder: Path) -> Iterator[str]:
    """The topics whose constants the modules of a folder import."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "schemas.topics":
                for alias in node.names:
                    value = getattr(schemas.topics, alias.name)
                    if isinstance(value, str):
                        yield value
