"""The worker as a process on the real broker, beside an independent recount."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from schemas import cloudevents
from schemas.suggestion import SuggestionScored
from workers.examples.store import ExampleStore

if TYPE_CHECKING:
    from tests.workers.outcomes.conftest import Story

DEADLINE_S = 60.0
PARTITIONS = 2


@dataclass
class System:
    """Topics of a test, its workers, and what was told."""

    servers: str
    prefix: str
    folder: Path
    produce: Callable[..., None]
    read_all: Callable[..., list[Message]]
    story: Story
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def send(self, events: Sequence[Any], **more: Any) -> None:
        by_topic: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            record = {
                "key": event.seller_id.encode(),
                "value": event.to_bytes(),
                "headers": self.story.headers(event),
            }
            by_topic.setdefault(self.story.topic(event), []).append(record | more)
        for topic, records in by_topic.items():
            self.produce(self.prefix + topic, records)

    @contextmanager
    def worker(self, name: str = "one", **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.cli.main", "outcomes"],
            env=os.environ
            | {
                "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": self.servers,
                "SECONDSIGHT_TOPIC_PREFIX": self.prefix,
                "SECONDSIGHT_EXAMPLES_URL": str(self.folder / "examples"),
                "SECONDSIGHT_DATA_DIR": str(self.folder / name),
                "SECONDSIGHT_SESSION_TIMEOUT_MS": "2000",
                "SECONDSIGHT_OUTCOMES_FLUSH_MS": "300",
            }
            | settings,
        )
        self.running.append(process)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def scored(self) -> dict[str, SuggestionScored]:
        """What is told, by id; the same id always tells the same."""
        found: dict[str, SuggestionScored] = {}
        for message in self.read_all(self.prefix + "suggestion.scored"):
            headers = cast(list[tuple[str, bytes | None]], message.headers() or [])
            event, envelope = cloudevents.decode(headers, message.value(), [SuggestionScored])
            assert isinstance(event, SuggestionScored)
            assert found.setdefault(envelope.id, event) == event
        return found

    def stored(self) -> dict[str, tuple[str, int | None]]:
        """The examples: what became of a listing, and its price."""
        read = ExampleStore(str(self.folder / "examples")).read(self.story.day(-1))
        assert read.damaged == []
        return {each.listing_id: (each.outcome.value, each.sold_minor) for each in read.examples}

    def told(self, expected: Expected) -> bool:
        """Whether all is told and stored: what a killed worker told, its successor still stores."""
        enough = len(self.scored()) >= len(expected.scores)
        return enough and self.stored() == expected.examples

    def wait_for(self, reached: Callable[[], bool], *alive: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not reached():
            assert all(process.poll() is None for process in alive)
            assert time.monotonic() < deadline

    def witness(self) -> Consumer:
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": f"{self.prefix}witness",
                "fetch.wait.max.ms": 5,
            }
        )
        topic = self.prefix + "suggestion.scored"
        consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        return consumer

    def see(self, witness: Consumer, count: int, *alive: subprocess.Popen[bytes]) -> None:
        """Wait until so many more scores are told."""
        deadline = time.monotonic() + DEADLINE_S
        while count > 0:
            assert all(process.poll() is None for process in alive)
            assert time.monotonic() < deadline
            count -= len(witness.consume(min(count, 500), 0.1))


@pytest.fixture
def system(
    kafka: str,
    topic_prefix: str,
    make_contract_topics: Callable[[int], None],
    tmp_path: Path,
    produce: Callable[..., None],
    read_all: Callable[..., list[Message]],
    story: Story,
) -> System:
    make_contract_topics(PARTITIONS)
    return System(kafka, topic_prefix, tmp_path, produce, read_all, story)


@dataclass
class Expected:
    """A plain recount of what was sent."""

    scores: dict[str, tuple[int | None, int, float | None]] = field(default_factory=dict)
    examples: dict[str, tuple[str, int | None]] = field(default_factory=dict)


def market(story: Story, count: int, seed: int) -> tuple[list[Any], Expected]:
    """Listings of many sellers: a third unsold, some taken back, some asked for better photos."""
    dice = random.Random(seed)
    events: list[Any] = []
    expected = Expected()
    for number in range(count):
        seller, listing = f"s{number % 97}", f"l{number}"
        day = number / count
        events.append(story.listed(listing, seller=seller, day=day))
        suggested: int | None = dice.randint(500, 5_000)
        assert suggested is not None
        if number % 7 == 0:
            events.append(story.refused(listing=listing, seller=seller, day=day))
            suggested = None
        else:
            control = True if number % 11 == 0 else None
            events.append(
                story.priced(suggested, listing=listing, seller=seller, day=day, control=control)
            )
        if number % 3 == 0:
            continue
        sold = dice.randint(500, 5_000)
        name = f"t{number}"
        events.append(
            story.sold(sold, listing=listing, seller=seller, day=day + 2, transaction=name)
        )
        error = None if suggested is None else math.log(suggested / sold)
        expected.scores[name] = (suggested, sold, error)
        expected.examples[listing] = ("sold", sold)
        if number % 10 == 1:
            refunded = None if number % 20 == 1 else sold // 2
            events.append(
                story.taken_back(
                    refunded, listing=listing, seller=seller, day=day + 3, transaction=name
                )
            )
            whole = refunded is None
            expected.examples[listing] = ("reversed", None) if whole else ("sold", sold - sold // 2)
    return events, expected


def check(system: System, expected: Expected) -> None:
    """Compare what was told with the recount: each sale once by id, each example as it stands."""
    scores = list(system.scored().values())
    told = {e.transaction_id: (e.suggested_minor, e.sold_minor, e.log_error) for e in scores}
    assert len(scores) == len(told)
    assert told == expected.scores
    assert system.stored() == expected.examples


def test_sales_are_scored_and_examples_stored_and_bad_records_set_aside(system: System) -> None:
    events, expected = market(system.story, 300, seed=1)
    bad = [{"key": b"s1", "value": b"{}", "headers": []}, {"key": b"s1", "value": b"nonsense"}]
    system.produce(system.prefix + "price.suggested", bad[:1])
    system.produce(system.prefix + "transactions", bad[1:])
    system.send(events)
    with system.worker() as process:
        system.wait_for(lambda: system.told(expected), process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    check(system, expected)
    for topic in ("price.suggested", "transactions"):
        (letter,) = system.read_all(f"{system.prefix}{topic}.dead-letter")
        headers = dict(cast(list[tuple[str, bytes]], letter.headers()))
        assert headers["dead_letter_stage"] == b"decode"
        assert headers["dead_letter_topic"].decode() == topic
    # What was read was committed: another worker tells only what is new, by time and by a sale.
    count = len(system.read_all(system.prefix + "suggestion.scored"))
    late = system.story.sold(777, transaction="late", listing="l0", seller="s0", day=4)
    new = [system.story.listed(f"new{n}", seller=f"s{n}", day=62) for n in range(8)]
    unsold = {f"l{number}" for number in range(3, 300, 3)}

    def censored() -> set[str]:
        found = ExampleStore(str(system.folder / "examples")).read(system.story.day(-1))
        return {each.listing_id for each in found.examples if each.outcome == "censored"}

    with system.worker() as process:
        system.send([late, *new])
        system.wait_for(lambda: censored() == unsold, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    assert len(system.read_all(system.prefix + "suggestion.scored")) == count + 1
    assert ("sold", 777) in {
        (each.outcome.value, each.sold_minor)
        for each in ExampleStore(str(system.folder / "examples"))
        .read(system.story.day(-1))
        .examples
    }


def test_workers_that_are_killed_lose_and_double_nothing(system: System) -> None:
    events, expected = market(system.story, 3_000, seed=2)
    system.send(events)
    witness = system.witness()
    for seen in (1, 400):
        with system.worker() as process:
            system.see(witness, seen, process)
    assert len(system.scored()) < len(expected.scores)  # the last one, too, was amid its work
    # On a disk of its own: the table comes from the changelog.
    with system.worker("another") as process:
        system.wait_for(lambda: system.told(expected), process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    witness.close()
    check(system, expected)


def test_a_second_worker_comes_and_the_first_goes_and_nothing_is_lost(system: System) -> None:
    events, expected = market(system.story, 3_000, seed=3)
    third = len(events) // 3
    witness = system.witness()
    with ExitStack() as stack:
        first = stack.enter_context(system.worker("one"))
        system.send(events[:third])
        system.see(witness, 100, first)
        second = stack.enter_context(system.worker("two"))
        system.send(events[third : 2 * third])
        system.see(witness, 700, first, second)
        first.send_signal(signal.SIGTERM)
        system.send(events[2 * third :])
        assert first.wait(DEADLINE_S) == 0
        system.wait_for(lambda: system.told(expected), second)
        second.send_signal(signal.SIGTERM)
        assert second.wait(DEADLINE_S) == 0
    witness.close()
    check(system, expected)


def test_answers_of_an_aborted_transaction_are_not_read(system: System) -> None:
    producer = Producer(
        {
            "bootstrap.servers": system.servers,
            "transactional.id": f"{system.prefix}answers",
            "partitioner": "murmur2_random",
        }
    )
    producer.init_transactions(DEADLINE_S)
    for listing, commit in (("l1", False), ("l2", True)):
        producer.begin_transaction()
        answer = system.story.priced(1_000, listing=listing)
        producer.produce(
            f"{system.prefix}price.suggested",
            answer.to_bytes(),
            b"s1",
            headers=[*system.story.headers(answer)],
        )
        producer.flush(DEADLINE_S)
        if commit:
            producer.commit_transaction(DEADLINE_S)
        else:
            producer.abort_transaction(DEADLINE_S)
    with system.worker() as process:
        for name in ("l1", "l2"):
            system.send([system.story.listed(name)])
            system.send([system.story.sold(2_000, listing=name, transaction=f"t-{name}")])
        system.wait_for(lambda: len(system.scored()) > 0, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    assert [event.listing_id for event in system.scored().values()] == ["l2"]


def test_a_worker_that_can_read_nothing_stops_instead_of_setting_all_aside(
    system: System,
) -> None:
    records = [{"key": b"s1", "value": b"{}", "headers": []} for _ in range(200)]
    system.produce(system.prefix + "transactions", records)
    with system.worker(SECONDSIGHT_DEAD_LETTER_WINDOW="100") as process:
        assert process.wait(DEADLINE_S) == 1
    assert system.read_all(f"{system.prefix}transactions.dead-letter") == []


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"SECONDSIGHT_EXAMPLES_URL": ""}, 3),
        ({"SECONDSIGHT_TOPIC_PREFIX": "there-is-no-such-"}, 3),
        ({"SECONDSIGHT_KAFKA_OPTIONS": '{"linger.ms": 5}'}, 3),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(
    system: System, settings: dict[str, str], code: int
) -> None:
    with system.worker(**settings) as process:
        assert process.wait(DEADLINE_S) == code
