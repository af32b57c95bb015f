"""When answers arrive at a reader of committed records, beside when they were asked for."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import Consumer, TopicPartition

ANSWER_WITHIN_S = 60.0


def committed_reader(servers: str, *topics: str) -> Consumer:
    """Return a quick reader of the committed records of partition 0 of topics, from the start."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "benchmark-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 5,
            "fetch.queue.backoff.ms": 5,
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0) for topic in topics])
    return consumer


@dataclass
class Answers:
    """When each listing was sent, by `time.perf_counter`, and how long its answer took (s).

    `first_by` has when the first answer of each model came.
    """

    sent: dict[str, float] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)
    first_by: dict[str, float] = field(default_factory=dict)

    def follow(self, consumer: Consumer, ended: threading.Event) -> None:
        """Note answers until told to end."""
        while not ended.is_set():
            for message in consumer.consume(500, 0.005):
                now = time.perf_counter()
                if message.error() is None:
                    event = json.loads(message.value() or b"")
                    self.took[event["listing_id"]] = now - self.sent[event["listing_id"]]
                    self.first_by.setdefault(event.get("model_version", ""), now)

    def await_all(self, going_on: Callable[[], None] = lambda: None) -> None:
        """Return when every listing has its answer; `going_on` may raise to end the wait.

        Raises:
            SystemExit: they do not all come within ANSWER_WITHIN_S.
        """
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while len(self.took) < len(self.sent):
            going_on()
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(self.sent) - len(self.took)} listings have no answer")
            time.sleep(0.01)

    def percentile_ms(self, share: float, tag: str) -> float:
        """Return a nearest-rank percentile of the listings whose id starts with a tag."""
        times = sorted(took for name, took in self.took.items() if name.startswith(tag))
        return round(1000 * times[max(0, -int(-share * len(times) // 1) - 1)], 1)
