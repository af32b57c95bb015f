"""Recording from the real broker."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from workers.cli.main import run
from workers.errors import ConfigurationError
from workers.replay.event_log import EventLog
from workers.replay.recording import record_topics
from workers.runtime.clients import ClientOptions

DEADLINE_S = 60.0


@pytest.fixture
def record(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> Callable[..., list[tuple[str, int, int, int, bytes | None]]]:
    """Records topics and gives (topic, partition, offset, timestamp, value) of what is in it."""

    def record(*topics: str, **options: Any) -> list[tuple[str, int, int, int, bytes | None]]:
        path = tmp_path / "out" / "log.jsonl"
        path.parent.mkdir(exist_ok=True)
        count = record_topics(
            path,
            topics,
            options=ClientOptions(bootstrap_servers=kafka),
            topic_prefix=topic_prefix,
            **options,
        )
        assert list(path.parent.iterdir()) == [path]  # and nothing temporary
        records = [record for _, record in EventLog(path)]
        assert len(records) == count
        return [(r.topic, r.partition, r.offset, r.timestamp_ms, r.value) for r in records]

    return record


def test_partitions_are_merged_by_time_and_each_keeps_its_order(
    make_topic: Callable[..., str],
    produce: Callable[..., None],
    topic_prefix: str,
    record: Callable[..., Any],
    tmp_path: Path,
) -> None:
    times = {("a", 0): [10, 40, 20, 50], ("a", 1): [15, 30], ("b", 0): [10, 30, 45], ("b", 1): []}
    for topic in ("a", "b"):
        make_topic(topic_prefix + topic, partitions=2)
    for (topic, partition), of_partition in times.items():
        batch = [{"partition": partition, "timestamp": t, "value": b"v"} for t in of_partition]
        produce(topic_prefix + topic, batch)
    assert [entry[:4] for entry in record("a", "b")] == [
        ("a", 0, 0, 10),
        ("b", 0, 0, 10),
        ("a", 1, 0, 15),
        ("a", 1, 1, 30),
        ("b", 0, 1, 30),
        ("a", 0, 1, 40),
        ("a", 0, 2, 20),  # behind what it was behind
        ("b", 0, 2, 45),
        ("a", 0, 3, 50),
    ]
    assert EventLog(tmp_path / "out" / "log.jsonl").partitions == {"a": 2, "b": 2}


def test_bytes_and_headers_are_as_they_were(
    make_topic: Callable[..., str],
    produce: Callable[..., None],
    topic_prefix: str,
    kafka: str,
    tmp_path: Path,
) -> None:
    headers = [("a", b"\xff\x00"), ("b", None), ("a", b""), ("ü", "ü".encode())]
    make_topic(topic_prefix + "a")
    produce(
        topic_prefix + "a",
        [
            {"key": b"\x80", "value": None, "headers": headers, "timestamp": 1},
            {"key": None, "value": b"", "timestamp": 2},
        ],
    )
    path = tmp_path / "log.jsonl.gz"
    options = ClientOptions(bootstrap_servers=kafka)
    assert record_topics(path, ["a"], options=options, topic_prefix=topic_prefix) == 2
    (_, first), (_, second) = EventLog(path)
    assert (first.key, first.value, first.headers) == (b"\x80", None, headers)
    assert (second.key, second.value, second.headers) == (None, b"", [])


def test_only_what_is_committed_is_recorded(
    kafka: str, make_topic: Callable[..., str], topic_prefix: str, record: Callable[..., Any]
) -> None:
    name = make_topic(topic_prefix + "a")
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic_prefix + "x"})
    producer.init_transactions(DEADLINE_S)
    for value, end in [
        (b"one", producer.commit_transaction),
        (b"two", producer.abort_transaction),
        (b"three", producer.commit_transaction),
        (b"four", producer.abort_transaction),
    ]:
        producer.begin_transaction()
        producer.produce(name, value=value)
        producer.flush(DEADLINE_S)
        end(DEADLINE_S)
    # the log ends with two markers, which no reader is given
    assert [entry[4] for entry in record("a")] == [b"one", b"three"]


def test_it_ends_where_the_topic_ended_at_the_start(
    make_topic: Callable[..., str],
    produce: Callable[..., None],
    topic_prefix: str,
    record: Callable[..., Any],
) -> None:
    name = make_topic(topic_prefix + "a")
    produce(name, [{"value": b"there"}] * 3)
    recorded = record("a", on_progress=lambda _: produce(name, [{"value": b"new"}]))
    assert [entry[4] for entry in recorded] == [b"there"] * 3


def test_told_to_go_on_it_records_what_comes_until_it_is_quiet(
    make_topic: Callable[..., str],
    produce: Callable[..., None],
    topic_prefix: str,
    record: Callable[..., Any],
) -> None:
    name = make_topic(topic_prefix + "a", partitions=2)
    produce(name, [{"value": b"1", "partition": 0}])
    now = [0.0]

    def another(count: int) -> None:
        if count < 5:
            produce(name, [{"value": str(count + 1).encode(), "partition": count % 2}])
        else:
            now[0] += 1.0

    recorded = record("a", until_quiet=1.0, on_progress=another, clock=lambda: now[0])
    assert sorted(entry[4] for entry in recorded) == [b"1", b"2", b"3", b"4", b"5"]


def test_told_to_go_on_for_some_seconds_it_ends_where_the_topic_ends_then(
    make_topic: Callable[..., str],
    produce: Callable[..., None],
    topic_prefix: str,
    record: Callable[..., Any],
) -> None:
    name = make_topic(topic_prefix + "a")
    produce(name, [{"value": b"1"}])
    now = [0.0]

    def another(count: int) -> None:
        produce(name, [{"value": str(count + 1).encode()}])
        if count == 3:
            now[0] = 60.0

    recorded = record("a", seconds=60, on_progress=another, clock=lambda: now[0])
    # the fourth was there when time was up, the fifth came while it was handled
    assert [entry[4] for entry in recorded] == [b"1", b"2", b"3", b"4"]


def test_an_empty_topic_is_an_empty_log(
    make_topic: Callable[..., str], topic_prefix: str, record: Callable[..., Any]
) -> None:
    make_topic(topic_prefix + "a", partitions=3)
    assert record("a") == []


def test_what_keeps_it_from_starting_leaves_the_older_file(
    make_topic: Callable[..., str],
    topic_prefix: str,
    kafka: str,
    tmp_path: Path,
) -> None:
    make_topic(topic_prefix + "a")
    options = ClientOptions(bootstrap_servers=kafka)
    older = tmp_path / "log.jsonl"
    older.write_text("older")
    with pytest.raises(ConfigurationError, match=f"{topic_prefix}absent"):
        record_topics(older, ["a", "absent"], options=options, topic_prefix=topic_prefix)
    with pytest.raises(ConfigurationError, match="No such file"):
        record_topics(tmp_path / "no" / "log", ["a"], options=options, topic_prefix=topic_prefix)
    with pytest.raises(ConfigurationError, match="is a folder"):
        record_topics(tmp_path, ["a"], options=options, topic_prefix=topic_prefix)
    assert [(path, path.read_text()) for path in tmp_path.iterdir()] == [(older, "older")]


def test_a_recording_that_fails_leaves_no_file(
    make_topic: Callable[..., str],
    produce: Callable[..., None],
    topic_prefix: str,
    record: Callable[..., Any],
    tmp_path: Path,
) -> None:
    produce(make_topic(topic_prefix + "a"), [{"value": b"1"}])

    def fail(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record("a", on_progress=fail)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--out", "log", "--seconds", "1", "--until-quiet-ms", "1"],
        ["--out", "log", "--seconds", "-1"],
        ["--out", "log", "--seconds", "nan"],
        ["--out", "log", "--until-quiet-ms", "0"],
        ["--out", "log", "--topics", " , "],
    ],
)
def test_wrong_usage_of_the_command(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["record", *arguments]) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_that_no_kafka_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS", raising=False)
    assert run(["record", "--out", str(tmp_path / "log")]) == 3
    assert "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS" in capsys.readouterr().err
