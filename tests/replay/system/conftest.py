"""The whole system as processes on the real broker, and a reader of all that it writes."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from workers.topics import create_topics

DEADLINE_S = 90.0
INPUTS = ("transactions", "listing.created")
OUTPUTS = (
    "listing.enriched",
    "price.suggested",
    "reupload.requested",
    "stats.changelog",
    "transactions.dead-letter",
    "listing.created.dead-letter",
    "listing.enriched.dead-letter",
)


class Worker:
    """A `secondsight` worker in a process of its own."""

    def __init__(self, kind: str, environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workers.cli.main", kind],
                env=os.environ | environment,
                stderr=stderr,
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(DEADLINE_S)

    def logged(self) -> str:
        return self._log.read_text()

    def ready(self) -> bool:
        return '"partition started"' in self.logged()


class System:
    """Topics of one partition under a prefix of their own, workers on them, and their output."""

    def __init__(self, *, kafka: str, prefix: str, folder: Path, bundle: Path) -> None:
        self._folder = folder
        self._prefix = prefix
        self._environment = {
            "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": kafka,
            "SECONDSIGHT_TOPIC_PREFIX": prefix,
            "SECONDSIGHT_BUNDLE": str(bundle),
            "SECONDSIGHT_INSTANCE_ID": "one",  # who comes back takes its partition over at once
            "SECONDSIGHT_BATCH_MAX_RECORDS": "4",  # many transactions for few records
            "SECONDSIGHT_SUGGEST_BATCH_MAX_RECORDS": "2",
            "SECONDSIGHT_SUGGEST_THREADS": "1",
            "SECONDSIGHT_MAX_IDLE_MS": "1000",
            "SECONDSIGHT_DEAD_LETTER_MAX_RATIO": "1",
            "SECONDSIGHT_LOG_FORMAT": "json",
        }
        create_topics(
            {"bootstrap.servers": kafka},
            prefix=prefix,
            partitions=1,
            replication_factor=1,
            keep_all=True,
        )
        self.workers: dict[str, Worker] = {}
        self.replays: list[subprocess.Popen[bytes]] = []
        self.written: dict[str, list[Message]] = {topic: [] for topic in OUTPUTS}
        self._reader = Consumer(
            {
                "bootstrap.servers": kafka,
                "group.id": f"replay-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
            }
        )
        self._reader.assign([TopicPartition(prefix + topic, 0, 0) for topic in OUTPUTS])

    def start(self, kind: str, *, data: str = "data") -> Worker:
        """Start a worker whose state lies in a folder of that name."""
        environment = self._environment | {"SECONDSIGHT_DATA_DIR": str(self._folder / data)}
        log = self._folder / f"{kind}-{len(list(self._folder.glob('*.log')))}.log"
        self.workers[kind] = Worker(kind, environment, log)
        return self.workers[kind]

    def replay(self, log: Path, *, speed: int) -> subprocess.Popen[bytes]:
        """Begin to publish a log with the command."""
        arguments = ["replay", str(log), "--speed", str(speed), "--json"]
        self.replays.append(
            subprocess.Popen(
                [sys.executable, "-m", "workers.cli.main", *arguments],
                env=os.environ | self._environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        )
        return self.replays[-1]

    @staticmethod
    def published(replay: subprocess.Popen[bytes]) -> int:
        """Wait until the command has ended well, and return how many events it says it has."""
        out, _ = replay.communicate(timeout=DEADLINE_S)
        assert replay.returncode == 0
        events = json.loads(out)["events"]
        assert isinstance(events, int)
        return events

    def until(self, condition: Callable[[], bool]) -> None:
        """Read what is written until the condition holds."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            for worker in self.workers.values():
                assert worker.process.poll() is None, worker.logged()[-3000:]
            assert time.monotonic() < deadline, [w.logged()[-2000:] for w in self.workers.values()]
            self._read(1)

    def until_ready(self) -> None:
        """Wait until every worker has its partition."""
        self.until(lambda: all(worker.ready() for worker in self.workers.values()))

    def stop(self) -> None:
        """Stop all workers in order, and read the rest of what they wrote."""
        for worker in self.workers.values():
            assert worker.stop() == 0, worker.logged()[-3000:]
        self._reader.assign(  # anew: so it tells of the end of each topic once more
            [
                TopicPartition(self._prefix + t, 0, (m[-1].offset() or 0) + 1 if m else 0)
                for t, m in self.written.items()
            ]
        )
        ended: set[str] = set()
        deadline = time.monotonic() + DEADLINE_S
        while len(ended) < len(OUTPUTS):
            assert time.monotonic() < deadline, f"only {ended} were read to the end"
            ended |= self._read(100)

    def close(self) -> None:
        for process in [w.process for w in self.workers.values()] + self.replays:
            if process.poll() is None:
                process.kill()
                process.wait(DEADLINE_S)
        self._reader.close()

    def _read(self, at_most: int) -> set[str]:
        """Take what is there, and return the topics whose end was reached."""
        ended = set()
        for message in self._reader.consume(at_most, 0.05):
            topic = (message.topic() or "").removeprefix(self._prefix)
            error = message.error()
            if error is None:
                self.written[topic].append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(topic)
            else:
                raise KafkaException(error)
        return ended


@pytest.fixture
def system(kafka: str, topic_prefix: str, tmp_path: Path, red_bundle: Path) -> Iterator[System]:
    system = System(kafka=kafka, prefix=topic_prefix, folder=tmp_path, bundle=red_bundle)
    yield system
    system.close()
