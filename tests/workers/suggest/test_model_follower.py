"""What a follower of the real topic does with bundles that are of no use, or out of reach."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import cast

import pytest
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry

from models.pricer import Pricer
from schemas import cloudevents
from schemas.model import ModelPublished
from tests.workers.suggest.conftest import MeanPricer
from workers.errors import WorkersError
from workers.runtime.clients import ClientOptions
from workers.runtime.metrics import SuggestMetrics
from workers.runtime.processing import Rejected
from workers.suggest.model_follower import ModelFollower

DEADLINE_S = 60.0


class Announced:
    """A topic of announcements, and who follows it; `fails` says what loading a version raises."""

    def __init__(self, kafka: str, topic: str, stack: ExitStack) -> None:
        self._producer = Producer({"bootstrap.servers": kafka})
        self._topic = topic
        self.fails: dict[str, list[Exception]] = {}
        self.refused: list[Rejected] = []
        self._changed = threading.Condition()
        self.follower = ModelFollower(
            ClientOptions(bootstrap_servers=kafka).log_reader(),
            topic=topic,
            load=self._load,
            first=cast(Pricer, MeanPricer("first")),
            refuse=self._refuse,
            metrics=SuggestMetrics(CollectorRegistry()),
        )
        self.announce("one")
        stack.enter_context(self.follower)
        self.follower.wait(timeout=DEADLINE_S)

    def announce(self, version: str) -> None:
        event = ModelPublished(
            model_version=version,
            uri=f"file:///registry/{version}",
            manifest_sha256=version.encode().hex().ljust(64, "0"),
            backbone="mean",
            published_at=datetime.now(UTC),
        )
        headers = cloudevents.encode(
            event, event_id=version, source="/test", time=event.published_at, subject=version
        )
        self._producer.produce(self._topic, event.to_bytes(), version, headers=list(headers))
        assert self._producer.flush(DEADLINE_S) == 0

    def until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        with self._changed:
            while not reached():
                assert time.monotonic() < deadline
                self._changed.wait(0.05)

    @property
    def live(self) -> str:
        return self.follower.lineup().live.version

    def _load(self, event: ModelPublished) -> Pricer:
        errors = self.fails.get(event.model_version, [])
        try:
            if errors:
                raise errors.pop(0)
            return cast(Pricer, MeanPricer(event.model_version))
        finally:
            with self._changed:
                self._changed.notify_all()

    def _refuse(self, rejected: Rejected) -> None:
        with self._changed:
            self.refused.append(rejected)
            self._changed.notify_all()


@pytest.fixture
def announced(kafka: str, topic_prefix: str, make_topic: Callable[..., str]) -> Iterator[Announced]:
    topic = make_topic(f"{topic_prefix}models", config={"cleanup.policy": "compact"})
    with ExitStack() as stack:
        yield Announced(kafka, topic, stack)


def test_whatever_its_files_make_the_runtime_say_a_bundle_is_refused(announced: Announced) -> None:
    assert announced.live == "one"
    announced.fails["two"] = [ArithmeticError("a snapshot of negative counts")]
    announced.announce("two")
    announced.until(lambda: bool(announced.refused))
    (refused,) = announced.refused
    assert "negative counts" in str(refused.error)
    assert announced.live == "one"

    announced.announce("three")  # the follower lives
    announced.until(lambda: announced.live == "three")


def test_what_cannot_be_reached_is_asked_for_again_and_not_refused(announced: Announced) -> None:
    announced.fails["two"] = [WorkersError("the registry is away"), OSError(28, "no space")]
    announced.announce("two")
    announced.until(lambda: announced.live == "two")
    assert announced.refused == []
    assert announced.fails["two"] == []
