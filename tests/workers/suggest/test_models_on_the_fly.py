"""A suggest worker on a real broker changes models while listings flow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from schemas import cloudevents
from schemas.dead_letter import DeadLetter
from schemas.partitioner import partition_for
from schemas.suggestion import PriceSuggested
from tests.red_bundle import write_red_bundle
from tests.workers.suggest.test_worker import (
    PARTITIONS,
    as_produced,
    headers_of,
    listing,
    photo,
)

DEADLINE_S = 90.0
AT_ONCE = 100


class Flow:
    """Listings that go in a few hundred at a time, and the answers so far."""

    def __init__(
        self,
        topic_prefix: str,
        produce: Callable[..., None],
        read_all: Callable[..., list[Message]],
        worker: subprocess.Popen[bytes],
        uri: str,
    ) -> None:
        self._uri = uri
        self.published: list[str] = []
        self._prefix, self._produce, self._read_all = topic_prefix, produce, read_all
        self._worker = worker

    def more(self) -> None:
        first = len(self.published)
        names = [f"l{number}" for number in range(first, first + AT_ONCE)]
        events = [listing(name, self._uri, seller=f"s{n % 40}") for n, name in enumerate(names)]
        self._produce(self._prefix + "listing.enriched", [as_produced(e) for e in events])
        self.published += names

    def answers(self, topic: str = "price.suggested") -> list[PriceSuggested]:
        """Return the answers, by partition and in order there."""
        events = []
        for message in self._read_all(self._prefix + topic):
            event, _ = cloudevents.decode(
                headers_of(message), message.value(), accept=[PriceSuggested]
            )
            assert isinstance(event, PriceSuggested)
            events.append(event)
        return events

    def versions(self, topic: str = "price.suggested") -> list[list[str]]:
        """Return by partition which models answered, in order."""
        found: list[list[str]] = [[] for _ in range(PARTITIONS)]
        for event in self.answers(topic):
            partition = partition_for(event.seller_id.encode(), PARTITIONS)
            found[partition].append(event.model_version)
        return found

    def until(self, reached: Callable[[], bool]) -> None:
        """Keep listings flowing until something is so."""
        deadline = time.monotonic() + DEADLINE_S
        while not reached():
            assert self._worker.poll() is None, "the worker ended"
            assert time.monotonic() < deadline, f"not so after {DEADLINE_S} s"
            if len(self.published) < len(self.answers()) + 2 * AT_ONCE:  # always some under way
                self.more()

    def until_answered_by(self, version: str, topic: str = "price.suggested") -> None:
        """Keep listings flowing until a model has answered in each partition."""
        self.until(lambda: all(version in of_one for of_one in self.versions(topic)))

    def until_last_answered_by(self, version: str) -> None:
        """Keep listings flowing until the last answer of each partition is a model's."""
        self.until(lambda: all(of_one[-1] == version for of_one in self.versions()))

    def until_all_are_answered(self) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while len(self.answers()) < len(self.published):
            assert self._worker.poll() is None, "the worker ended"
            assert time.monotonic() < deadline, f"{len(self.answers())} of {len(self.published)}"


@pytest.fixture
def environment(
    kafka: str, topic_prefix: str, make_contract_topics: Callable[[int], None], tmp_path: Path
) -> dict[str, str]:
    make_contract_topics(PARTITIONS)
    return os.environ | {
        "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "SECONDSIGHT_TOPIC_PREFIX": topic_prefix,
        "SECONDSIGHT_MODEL_REGISTRY": str(tmp_path / "registry"),
        "SECONDSIGHT_IMAGE_FILE_ROOTS": str(tmp_path),
    }


@pytest.fixture
def command(environment: dict[str, str]) -> Callable[..., dict[str, Any]]:
    """Runs `secondsight models ...` and returns its JSON."""

    def run(*arguments: str | Path) -> dict[str, Any]:
        words = [sys.executable, "-m", "workers.cli.main", "models", *map(str, arguments), "--json"]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    return run


@pytest.fixture
def flow(
    environment: dict[str, str],
    command: Callable[..., dict[str, Any]],
    bundles: dict[str, Path],
    topic_prefix: str,
    produce: Callable[..., None],
    read_all: Callable[..., list[Message]],
    tmp_path: Path,
) -> Iterator[Flow]:
    """A worker that answers with the model `old`; every listing has the same red photo."""
    photo(tmp_path / "red.png", 200)
    command("publish", bundles["old"])
    worker = subprocess.Popen(
        [sys.executable, "-m", "workers.cli.main", "suggest"], env=environment
    )
    yield Flow(topic_prefix, produce, read_all, worker, f"file://{tmp_path}/red.png")
    worker.kill()
    worker.wait()


@pytest.fixture
def bundles(tmp_path: Path) -> dict[str, Path]:
    return {
        name: write_red_bundle(tmp_path / name, base=base)
        for name, base in (("old", 3.0), ("new", 4.0), ("broken", float("nan")))
    }


def version_of(bundle: Path) -> str:
    version: str = json.loads((bundle / "bundle.json").read_text())["model_version"]
    return version


def test_a_swap_under_load_loses_and_doubles_nothing(
    flow: Flow,
    command: Callable[..., dict[str, Any]],
    bundles: dict[str, Path],
    topic_prefix: str,
    read_all: Callable[..., list[Message]],
) -> None:
    old, new, broken = (version_of(bundles[name]) for name in ("old", "new", "broken"))
    flow.until_answered_by(old)
    command("publish", bundles["new"])
    flow.until_answered_by(new)
    command("publish", bundles["broken"])
    flow.until(lambda: bool(read_all(topic_prefix + "models.dead-letter")))
    until_now = len(flow.published)
    flow.more()
    flow.until_all_are_answered()
    before = flow.answers()
    command("withdraw", new)  # the broken one is still announced, and still of no use
    flow.until_last_answered_by(old)
    flow.until_all_are_answered()

    answers = flow.answers()
    assert Counter(e.listing_id for e in answers) == Counter(flow.published)
    # Both answer the same photo: e times the price.
    prices = {e.model_version: e.price_minor for e in answers}
    assert prices.keys() == {old, new}
    assert prices[new] == pytest.approx(2.718281828 * prices[old], rel=1e-3)
    # In each partition the listings go over once, in their order, and all of the last ones have.
    for versions in flow.versions():
        changes = [v for n, v in enumerate(versions) if not n or versions[n - 1] != v]
        assert changes == [old, new, old]
    last = set(flow.published[until_now : until_now + AT_ONCE])
    assert {e.model_version for e in before if e.listing_id in last} == {new}
    (letter,) = read_all(topic_prefix + "models.dead-letter")
    told = DeadLetter.from_headers(headers_of(letter))
    assert (told.topic, told.stage, told.error_class) == ("models", "load", "BundleError")
    assert broken in told.message
    assert letter.key() == broken.encode()


def test_a_canary_answers_some_and_a_shadow_all_beside_the_app(
    flow: Flow, command: Callable[..., dict[str, Any]], bundles: dict[str, Path], tmp_path: Path
) -> None:
    old, new = version_of(bundles["old"]), version_of(bundles["new"])
    shadow = write_red_bundle(tmp_path / "shadow", base=5.0)
    command("publish", bundles["new"], "--canary", "0.5")
    command("publish", shadow, "--shadow")
    flow.until_answered_by(version_of(shadow), "price.shadow")
    flow.until_answered_by(new)
    flow.until_all_are_answered()

    answers = flow.answers()
    assert Counter(e.listing_id for e in answers) == Counter(flow.published)
    shadowed = {e.listing_id: e for e in flow.answers("price.shadow")}
    first = min(int(name[1:]) for name in shadowed)
    # The canary was announced before the shadow, so from the first shadowed listing on it answers.
    by_seller: dict[str, set[str]] = {}
    for event in answers:
        if event.listing_id in shadowed:
            by_seller.setdefault(event.seller_id, set()).add(event.model_version)
            own = {old: 1.0, new: 2.718281828}[event.model_version]
            price = shadowed[event.listing_id].price_minor
            assert price == pytest.approx(event.price_minor * 2.718281828**2 / own, rel=1e-3)
    assert first > 0 or len(shadowed) == len(flow.published)
    assert all(len(versions) == 1 for versions in by_seller.values())
    assert {version for versions in by_seller.values() for version in versions} == {old, new}
    listed = {row["model_version"]: row for row in command("list")["models"]}
    assert [listed[v]["role"] for v in (old, new, version_of(shadow))] == [
        "live",
        "canary",
        "shadow",
    ]
    assert listed[new]["share"] == 0.5
    assert all(row["holds"] for row in listed.values())
