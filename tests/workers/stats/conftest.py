"""A real stats worker in a process of its own, and events to feed it."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient

from schemas.listing import ListingEnriched
from schemas.sale import ItemSold
from stats_store.backend.options import RocksDBOptions
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore
from tests.workers.stats.events import START, Events
from workers.topics import create_topics

DEADLINE_S = 90.0


class Worker:
    """A `secondsight stats` process."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workers.cli.main", "stats"],
            env=os.environ | environment,
            stderr=log.open("ab"),
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(DEADLINE_S)

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(DEADLINE_S)

    def wait(self) -> int:
        return self._process.wait(DEADLINE_S)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def logged(self) -> str:
        return self._log.read_text()


class System:
    """Topics under a prefix of their own, workers on them, and what lies in them."""

    def __init__(
        self,
        *,
        kafka: str,
        prefix: str,
        folder: Path,
        produce: Callable[..., None],
        read_all: Callable[..., list[Message]],
        partitions: int,
    ) -> None:
        self.prefix, self.folder = prefix, folder
        self._produce, self._read_all = produce, read_all
        self._environment = {
            "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": kafka,
            "SECONDSIGHT_TOPIC_PREFIX": prefix,
            "SECONDSIGHT_TRANSACTION_TIMEOUT_MS": "5000",
            "SECONDSIGHT_SESSION_TIMEOUT_MS": "6000",
            "SECONDSIGHT_DEAD_LETTER_MAX_RATIO": "0.5",
            "SECONDSIGHT_MAX_IDLE_MS": "1000",
        }
        self.workers: list[Worker] = []
        self._partitions = partitions
        self._admin: dict[str, Any] = {"bootstrap.servers": kafka}
        self._create_topics()

    def _create_topics(self) -> None:
        create_topics(
            self._admin,
            prefix=self.prefix,
            partitions=self._partitions,
            replication_factor=1,
            keep_all=True,
        )

    def start(self, data: str = "data", **settings: str) -> Worker:
        """Start a worker whose state lies in `folder / data`."""
        environment = self._environment | {"SECONDSIGHT_DATA_DIR": str(self.folder / data)}
        self.workers.append(Worker(environment | settings, self.folder / "log.jsonl"))
        return self.workers[-1]

    def metric(self, worker: int, name: str, **labels: str) -> float | None:
        """A metric of the worker started as that number, with SECONDSIGHT_HEALTH_PORT=0."""
        wanted = {f'{label}="{value}"' for label, value in labels.items()}
        for line in self.asked(worker, "/metrics")[1].splitlines():
            sample, _, value = line.rpartition(" ")
            found, _, written = sample.partition("{")
            if found == f"secondsight_{name}" and wanted <= set(written.strip("}").split(",")):
                return float(value)
        return None

    def asked(self, worker: int, path: str) -> tuple[int, str]:
        """What the health server of a worker answers: status and text."""

        def ports() -> list[int]:
            lines = (
                json.loads(x)
                for x in (self.folder / "log.jsonl").read_text().splitlines()
                if x[0] == "{"
            )
            return [line["port"] for line in lines if line["event"] == "health served"]

        self.until(lambda: len(ports()) > worker, "no health server")
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{ports()[worker]}{path}", timeout=DEADLINE_S
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            raise AssertionError((self.folder / "log.jsonl").read_text()[-3000:]) from error

    def until(self, true: Callable[[], Any], otherwise: str) -> None:
        """Return once something is true; nothing tells this process when it becomes so."""
        deadline, pause = time.monotonic() + DEADLINE_S, threading.Event()
        while not true():
            logged = (self.folder / "log.jsonl").read_text()[-3000:]
            assert any(worker.running for worker in self.workers), logged
            assert time.monotonic() < deadline, f"{otherwise}: {logged}"
            pause.wait(0.02)

    def recreate(self, topic: str) -> None:
        """Delete a topic and create it anew, empty."""
        admin = AdminClient(self._admin)
        admin.delete_topics([self.prefix + topic], operation_timeout=30)[
            self.prefix + topic
        ].result(DEADLINE_S)
        self._create_topics()

    def publish(self, topic: str, *records: dict[str, Any]) -> None:
        self._produce(self.prefix + topic, records)

    def read(self, topic: str) -> list[Message]:
        return self._read_all(self.prefix + topic)

    def enriched(self, count: int) -> list[ListingEnriched]:
        """Wait until that many listings are enriched, and return all, in their order."""
        messages = self.wait_for("listing.enriched", count)
        return [ListingEnriched.model_validate_json(m.value() or b"") for m in messages]

    def wait_for(self, topic: str, count: int) -> list[Message]:
        deadline = time.monotonic() + DEADLINE_S
        while len(messages := self.read(topic)) < count:
            logged = (self.folder / "log.jsonl").read_text()[-3000:]
            assert any(worker.running for worker in self.workers), logged
            assert time.monotonic() < deadline, f"{len(messages)} of {count}: {logged}"
        return messages


@pytest.fixture
def make_system(
    kafka: str,
    topic_prefix: str,
    tmp_path: Path,
    produce: Callable[..., None],
    read_all: Callable[..., list[Message]],
) -> Iterator[Callable[[int], System]]:
    made: list[System] = []

    def make(partitions: int) -> System:
        made.append(
            System(
                kafka=kafka,
                prefix=topic_prefix,
                folder=tmp_path,
                produce=produce,
                read_all=read_all,
                partitions=partitions,
            )
        )
        return made[-1]

    yield make
    for system in made:
        for worker in system.workers:
            if worker.running:
                worker.kill()


@pytest.fixture
def events() -> Events:
    return Events()


class Stores:
    """Stores with a few sales, for tests of what is done with whole stores."""

    @staticmethod
    def open_at(folder: Path, partition: int) -> PartitionStore:
        return PartitionStore.open(folder, partition, options=RocksDBOptions())

    @staticmethod
    def sell(store: PartitionStore, prices: list[int], *, position: int) -> None:
        """Commit a sale of each price; the changelog is at `position` then."""
        for number, price in enumerate(prices):
            store.apply_sale(
                ItemSold(
                    transaction_id=f"t{position}-{number}",
                    listing_id=f"l{position}-{number}",
                    seller_id="anna",
                    category="Hats",
                    price_minor=price,
                    currency="GBP",
                    sold_at=START,
                )
            )
        store.changes()
        store.commit(position)

    @staticmethod
    def sold(store: PartitionStore) -> tuple[int, int]:
        """Number and sum of the prices in a store."""
        overall = store.histogram(ScopeKey.overall("GBP"))
        return (0, 0) if overall is None else (overall.count, overall.sum)


@pytest.fixture
def stores() -> Stores:
    return Stores()
