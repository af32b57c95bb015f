"""Creating and comparing the topics of the contract, on a real cluster."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
import typer
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from schemas.topics import DEAD_LETTER_TOPICS, TOPICS
from workers.cli.topics import topics
from workers.errors import ConfigurationError, WorkersError
from workers.topics import TopicState, check_topics, create_topics, wanted_topics

NAMES = {*TOPICS, *DEAD_LETTER_TOPICS}


@pytest.fixture
def options(kafka: str) -> dict[str, Any]:
    return {"bootstrap.servers": kafka}


def of(states: list[TopicState], name: str) -> TopicState:
    return next(state for state in states if state.name == name)


def test_creates_every_topic_as_the_contract_has_it(
    options: dict[str, Any], topic_prefix: str
) -> None:
    states = create_topics(options, prefix=topic_prefix, partitions=3, replication_factor=1)

    assert {state.name for state in states} == {topic_prefix + name for name in NAMES}
    assert all(state.created and not state.conflicts and not state.notes for state in states)
    found = AdminClient(options).list_topics(timeout=10).topics
    assert len(found[topic_prefix + "transactions"].partitions) == 3
    assert len(found[topic_prefix + "stats.changelog"].partitions) == 3
    assert len(found[topic_prefix + "listing.created.dead-letter"].partitions) == 3
    assert len(found[topic_prefix + "models"].partitions) == 1
    transactions = of(states, topic_prefix + "transactions")
    assert transactions.config["retention.ms"] == "-1"
    assert transactions.config["cleanup.policy"] == "delete"
    assert of(states, topic_prefix + "models").config["cleanup.policy"] == "compact"
    enriched = of(states, topic_prefix + "listing.enriched")
    assert enriched.config["retention.ms"] == str(7 * 24 * 3600 * 1000)


def test_a_second_call_creates_nothing(options: dict[str, Any], topic_prefix: str) -> None:
    create_topics(options, prefix=topic_prefix, partitions=2, replication_factor=1)
    again = create_topics(options, prefix=topic_prefix, partitions=2, replication_factor=1)
    assert len(again) == len(NAMES)
    assert not any(state.created or state.conflicts or state.notes for state in again)


def test_two_calls_at_once_create_each_topic_once(
    options: dict[str, Any], topic_prefix: str
) -> None:
    both_ready = threading.Barrier(2)
    results: list[list[TopicState]] = []

    def create() -> None:
        both_ready.wait(10)
        results.append(
            create_topics(options, prefix=topic_prefix, partitions=2, replication_factor=1)
        )

    threads = [threading.Thread(target=create) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    created = [state.name for states in results for state in states if state.created]
    assert sorted(created) == sorted(topic_prefix + name for name in NAMES)
    assert not any(state.conflicts for states in results for state in states)


def test_a_check_creates_nothing_and_names_what_is_missing(
    options: dict[str, Any], topic_prefix: str
) -> None:
    states = check_topics(options, prefix=topic_prefix, partitions=2, replication_factor=1)
    assert len(states) == len(NAMES)
    assert all(state.partitions == 0 and state.conflicts for state in states)
    known = AdminClient(options).list_topics(timeout=10).topics
    assert not [name for name in known if name.startswith(topic_prefix)]


def test_what_differs_is_told_and_left_as_it_is(
    options: dict[str, Any], topic_prefix: str, make_topic: Callable[..., str]
) -> None:
    fewer = make_topic(topic_prefix + "transactions", 3, {"max.message.bytes": "2097152"})
    deleted = make_topic(topic_prefix + "stats.changelog", 4, {"cleanup.policy": "delete"})
    shorter = make_topic(topic_prefix + "price.suggested", 4, {"retention.ms": "1000"})

    states = create_topics(options, prefix=topic_prefix, partitions=4, replication_factor=1)

    (partitions,) = of(states, fewer).conflicts
    assert partitions.startswith("it has 3 partitions, not 4;")
    (policy,) = of(states, deleted).conflicts
    assert policy.startswith("cleanup.policy is delete, not compact;")
    assert of(states, shorter).conflicts == ()
    assert f"retention.ms is 1000, not {30 * 24 * 3600 * 1000}" in of(states, shorter).notes
    conflicting = [state.name for state in states if state.conflicts]
    assert sorted(conflicting) == sorted([fewer, deleted])
    checked = check_topics(options, prefix=topic_prefix, partitions=4, replication_factor=1)
    assert [(s.name, s.config, s.conflicts) for s in checked] == [
        (s.name, s.config, s.conflicts) for s in states
    ]


def test_keep_all_keeps_records_of_long_ago(
    options: dict[str, Any],
    topic_prefix: str,
    produce: Callable[..., None],
    read_all: Callable[..., list[Message]],
) -> None:
    states = create_topics(
        options, prefix=topic_prefix, partitions=1, replication_factor=1, keep_all=True
    )
    assert {state.config["retention.ms"] for state in states} == {"-1"}
    produce(topic_prefix + "listing.enriched", [{"value": b"old", "timestamp": 946_684_800_000}])
    (record,) = read_all(topic_prefix + "listing.enriched")
    assert (record.value(), record.timestamp()[1]) == (b"old", 946_684_800_000)


def test_more_copies_than_brokers_will_not_work_later_either(
    options: dict[str, Any], topic_prefix: str
) -> None:
    with pytest.raises(ConfigurationError, match="eplication factor"):
        create_topics(options, prefix=topic_prefix, partitions=1, replication_factor=9)


def test_a_cluster_that_does_not_answer_may_answer_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.topics.TIMEOUT_S", 0.2)
    options = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
    with pytest.raises(WorkersError, match="SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS") as caught:
        create_topics(options, prefix="", partitions=1, replication_factor=1)
    assert caught.value.exit_code == 1


def test_production_has_two_copies_in_step() -> None:
    wanted = wanted_topics(prefix="shop.", partitions=6, replication_factor=3)
    assert {topic.replication_factor for topic in wanted} == {3}
    assert {topic.config["min.insync.replicas"] for topic in wanted} == {"2"}
    assert {topic.partitions for topic in wanted} == {1, 6}


@pytest.fixture
def command(
    kafka: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Runs `secondsight topics` with the arguments given, against this test's topics."""
    monkeypatch.setenv("SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("SECONDSIGHT_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("COLUMNS", "200")
    application = typer.Typer()
    application.command()(topics)
    return lambda *arguments: CliRunner().invoke(application, list(arguments))


def test_the_command_creates_and_then_finds_nothing_to_do(
    command: Callable[..., Result], topic_prefix: str
) -> None:
    created = command("--partitions", "2", "--json")
    assert created.exit_code == 0
    states = {state["name"]: state for state in json.loads(created.stdout)["topics"]}
    assert set(states) == {topic_prefix + name for name in NAMES}
    assert states[topic_prefix + "transactions"]["partitions"] == 2
    assert states[topic_prefix + "transactions"]["created"] is True

    again = command("--partitions", "2")
    assert again.exit_code == 0
    rows = [line for line in again.stdout.splitlines() if topic_prefix in line]
    assert len(rows) == len(NAMES)
    assert all("as it should be" in row for row in rows)
    compacted = {row.split()[1] for row in rows if " yes " in row}
    assert compacted == {
        topic_prefix + name
        for name in ("models", "stats.changelog", "stats.partials", "outcomes.changelog")
    }


def test_the_command_refuses_another_number_of_partitions(
    command: Callable[..., Result], topic_prefix: str
) -> None:
    assert command("--partitions", "2").exit_code == 0
    differing = command("--partitions", "3")
    assert isinstance(differing.exception, ConfigurationError)
    assert differing.exception.exit_code == 3
    assert f"{topic_prefix}transactions: it has 2 partitions, not 3" in str(differing.exception)
    assert f"{topic_prefix}models:" not in str(differing.exception)
    assert "differs" in differing.stdout


def test_the_check_fails_while_topics_are_missing(command: Callable[..., Result]) -> None:
    missing = command("--check")
    assert isinstance(missing.exception, ConfigurationError)
    assert missing.stdout.count("missing") >= len(NAMES)
    assert command("--keep-all").exit_code == 0
    kept = command("--check")  # for ever is longer than the contract asks, and may be meant so
    assert kept.exit_code == 0
    assert "retention.ms is -1, not 604800000" in kept.stdout


def test_the_command_needs_a_cluster(
    command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS")
    result = command()
    assert isinstance(result.exception, ConfigurationError)
    assert "secondsight broker" in str(result.exception)
