"""A broker's topics with outcomes workers, and what these have told and stored."""

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from benchmarks.scoring.market import Market, log_error
from schemas.cloudevents import decode
from schemas.suggestion import SuggestionScored
from schemas.topics import SUGGESTION_SCORED
from workers.examples.store import ExampleStore
from workers.topics import create_topics

LOOK_EVERY_S = 0.1
STANDSTILL_S = 180.0


@dataclass(frozen=True)
class Verdict:
    """What was told beside a plain recount.

    Attributes:
        sales: that had to be scored.
        lost: sales without a score.
        double: sales with scores of more than one id.
        wrong: scores of other prices than the recount, and ids that tell two things.
        repeated: records of an id that had been there before, as at-least-once allows.
        examples_wrong: listings whose example is missing, needless or not as recounted.
    """

    sales: int
    lost: int
    double: int
    wrong: int
    repeated: int
    examples_wrong: int


@dataclass
class System:
    """Topics under one prefix with their workers.

    Attributes:
        flush_ms: how often the workers store and commit; the fewer, the more is done twice.
    """

    servers: str
    prefix: str
    folder: Path
    partitions: int = 4
    flush_ms: int = 1_000
    _processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        create_topics(
            {"bootstrap.servers": self.servers},
            prefix=self.prefix,
            partitions=self.partitions,
            replication_factor=1,
            keep_all=True,
        )

    def start(self, name: str = "one") -> "subprocess.Popen[bytes]":
        """Start a worker with a data folder of that name."""
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.cli.main", "outcomes"],
            cwd=Path(__file__).parents[2],
            env=os.environ
            | {
                "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": self.servers,
                "SECONDSIGHT_TOPIC_PREFIX": self.prefix,
                "SECONDSIGHT_EXAMPLES_URL": str(self.folder / "examples"),
                "SECONDSIGHT_DATA_DIR": str(self.folder / name),
                "SECONDSIGHT_SESSION_TIMEOUT_MS": "2000",
                "SECONDSIGHT_OUTCOMES_FLUSH_MS": str(self.flush_ms),
                "SECONDSIGHT_LOG_LEVEL": "error",
            },
            stdout=sys.stderr.fileno(),
        )
        self._processes.append(process)
        return process

    def kill_all(self) -> None:
        """End all workers by force."""
        for process in self._processes:
            process.kill()
            process.wait()

    def committed(self, market: Market) -> int:
        """Return how many of the published events are committed."""
        observer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": f"{self.prefix}secondsight-outcomes",
            }
        )
        places = [
            TopicPartition(self.prefix + topic, partition)
            for topic in market.published
            for partition in range(self.partitions)
        ]
        try:
            found = observer.committed(places, timeout=10)
        except KafkaException:  # a young group's coordinator is still being found
            return 0
        finally:
            observer.close()
        return sum(max(0, place.offset) for place in found)

    def wait_until(
        self, market: Market, count: int, *alive: "subprocess.Popen[bytes]"
    ) -> list[tuple[float, int]]:
        """Wait until so many events are committed; returns looks: (seconds, committed).

        Raises:
            SystemExit: a worker ended by itself, or nothing moved for STANDSTILL_S.
        """
        looks: list[tuple[float, int]] = []
        moved = time.monotonic()
        while not looks or looks[-1][1] < count:
            if any(process.poll() is not None for process in alive):
                raise SystemExit("a worker ended by itself")
            done = self.committed(market)
            if not looks or done > looks[-1][1]:
                moved = time.monotonic()
                looks.append((time.perf_counter(), done))
            if time.monotonic() - moved > STANDSTILL_S:
                raise SystemExit(f"stands still at {done:,} of {count:,} events")
            time.sleep(LOOK_EVERY_S)
        return looks

    def verdict(self, market: Market) -> Verdict:
        """Compare scores and examples with the recount."""
        ids: dict[str, set[str]] = {}
        told: dict[str, bytes] = {}
        wrong = repeated = 0
        for event_id, value, event in self._scores():
            if event_id in told:
                repeated += 1
                wrong += told[event_id] != value
                continue
            told[event_id] = value
            ids.setdefault(event.transaction_id, set()).add(event_id)
            expected = market.scores.get(event.transaction_id)
            wrong += expected != (
                event.suggested_minor,
                event.sold_minor,
            ) or event.log_error != log_error(*expected)
        read = ExampleStore(str(self.folder / "examples")).read(datetime(2020, 1, 1, tzinfo=UTC))
        examples = {
            each.listing_id: (each.outcome.value, each.sold_minor) for each in read.examples
        }
        odd = Counter(
            examples.get(name) != market.examples.get(name)
            for name in {*examples, *market.examples}
        )
        return Verdict(
            sales=len(market.scores),
            lost=len(set(market.scores) - set(ids)),
            double=sum(len(each) > 1 for each in ids.values()),
            wrong=wrong,
            repeated=repeated,
            examples_wrong=odd[True] + len(read.damaged),
        )

    def _scores(self) -> list[tuple[str, bytes, SuggestionScored]]:
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": f"{self.prefix}verdict",
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
            }
        )
        topic = self.prefix + SUGGESTION_SCORED
        consumer.assign([TopicPartition(topic, number, 0) for number in range(self.partitions)])
        unfinished = set(range(self.partitions))
        found = []
        while unfinished:
            for message in consumer.consume(10_000, 1.0):
                if (error := message.error()) is not None:
                    if error.code() != KafkaError._PARTITION_EOF:
                        raise KafkaException(error)
                    unfinished.discard(message.partition() or 0)
                    continue
                value = message.value() or b""
                headers = cast(list[tuple[str, bytes | None]], message.headers() or [])
                event, envelope = decode(headers, value, [SuggestionScored])
                assert isinstance(event, SuggestionScored)  # noqa: S101 - for the type checker
                found.append((envelope.id, value, event))
        consumer.close()
        return found
