"""Replaying logs and datasets to the real broker."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message
from structlog.testing import capture_logs

from schemas import cloudevents
from schemas.listing import ListingCreated
from schemas.partitioner import partition_for
from schemas.sale import ItemSold, SaleReversed
from workers.cli.main import run
from workers.errors import BadDataError, ConfigurationError, WorkersError
from workers.replay.event_log import LogWriter
from workers.replay.publishing import replay
from workers.replay.sources import BY_KEY, Publication, open_source
from workers.runtime import cluster
from workers.runtime.clients import ClientOptions
from workers.runtime.processing import Record

NOON = 1_772_366_400_000
HOUR = 3_600_000


def record(offset: int = 0, **changes: Any) -> Record:
    fields: dict[str, Any] = {
        "topic": "a",
        "partition": 0,
        "offset": offset,
        "timestamp_ms": NOON + offset,
        "key": b"k",
        "value": b"v",
        "headers": [],
    }
    return Record(**(fields | changes))


@pytest.fixture
def log(tmp_path: Path) -> Callable[..., Path]:
    """Writes a log of records: `log(*records, partitions=1)`."""

    def log(*records: Record, partitions: int = 1) -> Path:
        path = tmp_path / "log.jsonl"
        topics = dict.fromkeys(("a", "b"), partitions)
        with LogWriter(path, topics) as writer:
            for each in records:
                writer.append(each)
        return path

    return log


@pytest.fixture
def play(kafka: str, topic_prefix: str) -> Callable[..., int]:
    """Replays a file or folder."""

    def play(path: Path, **options: Any) -> int:
        return replay(
            open_source(path),
            options=ClientOptions(bootstrap_servers=kafka),
            topic_prefix=topic_prefix,
            **options,
        )

    return play


def parts(message: Message) -> tuple[int | None, bytes | None, bytes | None, Any, int]:
    return (
        message.partition(),
        message.key(),
        message.value(),
        message.headers() or [],
        message.timestamp()[1],
    )


ODD = [
    record(0, partition=2, key=b"\xff", value=None, headers=[("x", b"\x80"), ("y", None)]),
    record(1, partition=1, key=None, value=b""),
    record(2, partition=0, key=b"", value=bytes(range(256)), headers=[("x", b""), ("x", b"2")]),
    record(3, partition=2, key=b"seller", value=b"{}", timestamp_ms=NOON - HOUR),
    record(4, partition=0, key=b"seller", value=b"[]"),
]


def test_a_log_goes_into_its_partitions_unchanged(
    log: Callable[..., Path],
    play: Callable[..., int],
    make_topic: Callable[..., str],
    read_all: Callable[..., list[Message]],
    topic_prefix: str,
) -> None:
    name = make_topic(topic_prefix + "a", partitions=3)
    stored: list[None] = []
    started: list[int] = []
    assert (
        play(
            log(*ODD, partitions=3),
            on_start=started.append,
            on_stored=lambda: stored.append(None),
        )
        == 5
    )
    assert (started, len(stored)) == ([5], 5)
    assert [parts(message) for message in read_all(name)] == [
        (each.partition, each.key, each.value, each.headers, each.timestamp_ms)
        for each in (ODD[2], ODD[4], ODD[1], ODD[0], ODD[3])
    ]


def test_where_the_topic_has_other_partitions_the_key_decides(
    log: Callable[..., Path],
    play: Callable[..., int],
    make_topic: Callable[..., str],
    read_all: Callable[..., list[Message]],
    topic_prefix: str,
) -> None:
    name = make_topic(topic_prefix + "a", partitions=5)
    keys = [f"seller {i}".encode() for i in range(40)]
    play(log(*[record(i, key=key, partition=2) for i, key in enumerate(keys)], partitions=3))
    found = {message.key(): message.partition() for message in read_all(name)}
    assert found == {key: partition_for(key, 5) for key in keys}
    assert len(set(found.values())) == 5


def test_a_dataset_becomes_events_by_seller(
    play: Callable[..., int],
    make_topic: Callable[..., str],
    read_all: Callable[..., list[Message]],
    topic_prefix: str,
    tmp_path: Path,
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "dataset.json").write_text('{"name": "small", "currency": "GBP"}')
    (tmp_path / "listings.csv").write_text(
        "listing_id,seller_id,category,image,price,currency,listed_at,sold_at,brand,attributes,"
        "specifications,title\n"
        "l1,ann,Toys,images/1.jpg,12.5,,2026-03-01T10:00:00Z,,,,,\n"
        "l2,bob,Toys,images/2.jpg,,,2026-03-01T12:00:00Z,,,,,\n"
        "l3,bob,,images/3.jpg,,,2026-03-01T12:00:00Z,,,,,no category\n"
    )
    (tmp_path / "sales.csv").write_text(
        "transaction_id,listing_id,seller_id,category,price,currency,sold_at\n"
        "t1,l1,ann,Toys,12.50,,2026-03-01T11:00:00Z\n"
        "t1,l1,ann,Toys,-12.50,,2026-03-01T13:00:00Z\n"
    )
    for topic in ("transactions", "listing.created"):
        make_topic(topic_prefix + topic, partitions=4)
    with capture_logs() as logs:
        assert play(tmp_path) == 4
    assert any("l3" in entry.get("reason", "") for entry in logs)
    events = {}
    for topic in ("transactions", "listing.created"):
        for message in read_all(topic_prefix + topic):
            event, envelope = cloudevents.decode(
                message.headers(),  # type: ignore[arg-type]
                message.value(),
                [ListingCreated, ItemSold, SaleReversed],
            )
            assert isinstance(event, ListingCreated | ItemSold | SaleReversed)
            assert message.key() == event.seller_id.encode()
            assert message.partition() == partition_for(event.seller_id.encode(), 4)
            assert message.timestamp()[1] == int(envelope.time.timestamp() * 1000)
            assert (envelope.source, envelope.subject) == ("/secondsight/replay", event.listing_id)
            events[type(event).__name__, event.listing_id] = envelope.time

    def at(hour: int) -> datetime:
        return datetime(2026, 3, 1, hour, tzinfo=UTC)

    assert events == {
        ("ListingCreated", "l1"): at(10),
        ("ItemSold", "l1"): at(11),
        ("ListingCreated", "l2"): at(12),
        ("SaleReversed", "l1"): at(13),
    }


class Watched:
    """A source that notes the time whenever it is asked for the next record."""

    def __init__(self, due_ms: list[int], clock: Callable[[], float]) -> None:
        self._due_ms = due_ms
        self._clock = clock
        self.asked_at: list[float] = []

    def publications(self, partitions: Mapping[str, int]) -> Iterator[Publication]:
        self.asked_at = []
        for due in self._due_ms:
            yield Publication("here", "a", BY_KEY, b"k", b"v", [], NOON, due)
            self.asked_at.append(self._clock())


@pytest.mark.parametrize(
    ("speed", "published_at"),
    [(0.0, [0, 0, 0, 0]), (1.0, [0, 4, 4, 10]), (4.0, [0, 1, 1, 2.5])],
)
def test_records_wait_until_they_are_due(
    speed: float,
    published_at: list[float],
    make_topic: Callable[..., str],
    kafka: str,
    topic_prefix: str,
) -> None:
    make_topic(topic_prefix + "a")
    now = [100.0]

    def tick() -> float:
        now[0] += 0.5
        return now[0]

    source = Watched([NOON, NOON + 4_000, NOON + 4_000, NOON + 10_000], clock=lambda: now[0])
    options = ClientOptions(bootstrap_servers=kafka)
    replay(source, options=options, topic_prefix=topic_prefix, speed=speed, clock=tick)
    started = 100.5  # the first look at the clock
    late = [asked - started - due for asked, due in zip(source.asked_at, published_at, strict=True)]
    assert min(late) >= 0
    assert max(late) <= 2.0  # a look at the clock costs half a second here


def test_a_timestamp_that_kafka_refuses_is_told_before_anything_is_published(
    log: Callable[..., Path],
    play: Callable[..., int],
    make_topic: Callable[..., str],
    read_all: Callable[..., list[Message]],
    topic_prefix: str,
) -> None:
    name = make_topic(topic_prefix + "a")
    path = log(record(0), record(1, timestamp_ms=NOON + HOUR + 1), record(2))
    with pytest.raises(BadDataError, match=r"line 3: .*2026-03-01T13:00:00.001000Z.* 60 minutes"):
        play(path, now=lambda: NOON / 1000)
    assert read_all(name) == []
    assert play(path, now=lambda: (NOON + 1) / 1000) == 3  # an hour ahead is taken
    other = make_topic(
        topic_prefix + "b", config={"message.timestamp.after.max.ms": str(10 * HOUR)}
    )
    path = log(record(0, topic="b", timestamp_ms=NOON + 9 * HOUR))
    assert play(path, now=lambda: NOON / 1000) == 1
    assert len(read_all(other)) == 1


def test_kafka_has_no_times_before_1970(
    kafka: str, make_topic: Callable[..., str], topic_prefix: str, tmp_path: Path
) -> None:
    make_topic(topic_prefix + "a")

    class Old:
        def publications(self, partitions: Mapping[str, int]) -> Iterator[Publication]:
            yield Publication("event 1", "a", BY_KEY, None, None, [], -5, -5)

    options = ClientOptions(bootstrap_servers=kafka)
    with pytest.raises(BadDataError, match=r"event 1: .*1970"):
        replay(Old(), options=options, topic_prefix=topic_prefix)


def test_records_that_a_retention_will_delete_are_warned_of(
    log: Callable[..., Path],
    play: Callable[..., int],
    make_topic: Callable[..., str],
    topic_prefix: str,
) -> None:
    make_topic(topic_prefix + "a", config={"retention.ms": str(24 * HOUR)})
    make_topic(topic_prefix + "b", config={"retention.ms": "-1"})
    path = log(record(0), record(0, topic="b"))
    with capture_logs() as logs:
        play(path, now=lambda: (NOON + 25 * HOUR) / 1000)
    (warning,) = logs
    assert (warning["topic"], warning["retention_days"]) == ("a", 1.0)
    with capture_logs() as logs:
        play(path, now=lambda: (NOON + 23 * HOUR) / 1000)
    assert logs == []


@pytest.fixture
def command(
    kafka: str,
    topic_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command and gives its exit code, stdout and stderr."""
    monkeypatch.setenv("SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("SECONDSIGHT_TOPIC_PREFIX", topic_prefix)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(["replay", *arguments])
        return code, *capsys.readouterr()

    return command


def test_the_command_says_how_many_events_there_were(
    command: Callable[..., tuple[int, str, str]],
    log: Callable[..., Path],
    make_topic: Callable[..., str],
    topic_prefix: str,
) -> None:
    make_topic(topic_prefix + "a")
    path = str(log(record(0), record(1)))
    code, out, _ = command(path, "--json")
    assert (code, json.loads(out)) == (0, {"events": 2})
    code, out, _ = command(path, "--speed", "1000")
    assert (code, out) == (0, "2 events published\n")
    code, out, _ = command(str(log()), "--json")
    assert (code, json.loads(out)) == (0, {"events": 0})


def test_a_broken_line_ends_the_command_with_nothing_published(
    command: Callable[..., tuple[int, str, str]],
    log: Callable[..., Path],
    make_topic: Callable[..., str],
    read_all: Callable[..., list[Message]],
    topic_prefix: str,
) -> None:
    name = make_topic(topic_prefix + "a")
    path = log(record(0), record(1))
    path.write_bytes(path.read_bytes() + b'{"topic": 7}\n')
    code, out, err = command(str(path), "--json")
    assert (code, out) == (3, "")
    assert "log.jsonl, line 4: " in err
    assert read_all(name) == []


def test_a_record_that_is_not_stored_ends_the_command(
    command: Callable[..., tuple[int, str, str]],
    log: Callable[..., Path],
    make_topic: Callable[..., str],
    topic_prefix: str,
) -> None:
    make_topic(topic_prefix + "a")
    make_topic(topic_prefix + "b", config={"max.message.bytes": "2000"})
    large = record(1, topic="b", value=os.urandom(5_000))
    code, out, err = command(str(log(record(0), large, record(2))))
    assert (code, out) == (1, "")
    assert "log.jsonl, line 3: not stored" in err
    # and one that this machine's client will not even send
    code, out, err = command(str(log(record(0, value=os.urandom(4 * 2**20)))))
    assert (code, out) == (1, "")
    assert "log.jsonl, line 2: not stored" in err


@pytest.mark.parametrize("speed", ["-1", "nan", "inf", "fast"])
def test_wrong_usage_of_the_command(
    speed: str, command: Callable[..., tuple[int, str, str]], log: Callable[..., Path]
) -> None:
    assert command(str(log(record())), "--speed", speed)[0] == 2


def test_topics_that_are_missing_are_named(
    log: Callable[..., Path], play: Callable[..., int], topic_prefix: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"{topic_prefix}b; .*secondsight topics"):
        play(log(record(0, topic="b")))


def test_what_is_neither_dataset_nor_log(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match="neither a dataset folder nor a recorded log"):
        open_source(tmp_path / "absent")
    (tmp_path / "dataset.json").write_text('{"name": "small"}')
    (tmp_path / "sales.csv").write_text(
        "transaction_id,listing_id,seller_id,category,price,currency,sold_at\n"
        "t1,l1,ann,Toys,0,GBP,2026-03-01T11:00:00Z\n"
    )
    with pytest.raises(BadDataError, match="has no row that can be published"):
        open_source(tmp_path)


def test_a_kafka_that_does_not_answer(
    log: Callable[..., Path], topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_TIMEOUT_S", 0.2)
    options = ClientOptions(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(WorkersError, match="does not answer"):
        replay(open_source(log(record())), options=options, topic_prefix=topic_prefix)
