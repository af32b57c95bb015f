"""Goes on publishing a stream, whatever happens to the broker meanwhile."""

import threading
from itertools import islice

from confluent_kafka import KafkaError, KafkaException, Producer

from tests.torture.stream import Published, Stream

TICK_S = 0.1
UNASSIGNED = -1  # the partitioner chooses
FLUSH_S = 120.0
STUCK_S = 60  # a restart of the broker takes ten
_PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)


class Publisher:
    """Publishes in a thread of its own between `start` and `finish`.

    Args:
        servers: bootstrap servers.
        prefix: of the topics.
        stream: what is published.
        rate: records a second.
    """

    def __init__(self, servers: str, *, prefix: str, stream: Stream, rate: int) -> None:
        self._prefix, self._stream, self._rate = prefix, stream, rate
        self._options = {
            "bootstrap.servers": servers,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "reconnect.backoff.max.ms": 500,
            "linger.ms": 5,
            "log_level": 0,
        }
        self._producer = Producer(self._options)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._errors: list[KafkaError] = []
        self.published = 0

    def start(self) -> None:
        self._thread.start()

    def publish(self, count: int) -> None:
        """Publish so many records now, without the thread, and wait until they are stored."""
        for record in islice(self._stream, count):
            self._send(record)
        self._flush()

    def finish(self) -> None:
        """Publish what makes every story complete, and return when all is stored."""
        if self._thread.is_alive():
            self._stopping.set()
            self._thread.join()
        for record in self._stream.ending():
            self._send(record)
        self._flush()

    def _flush(self) -> None:
        if self._producer.flush(FLUSH_S) or self._errors:
            raise KafkaException(*self._errors[:1])

    def _run(self) -> None:
        records = iter(self._stream)
        while not self._stopping.wait(TICK_S):
            if len(self._producer) > STUCK_S * self._rate:
                self._start_anew()
            for record in islice(records, max(1, int(self._rate * TICK_S))):
                self._send(record)

    def _start_anew(self) -> None:
        """Drop a producer that has lost the cluster for good (see workers.runtime.cluster_watch).

        What it had not delivered is never published; the recount reads the log.
        """
        self._producer.purge()
        self._producer.flush(0)
        self._errors = [error for error in self._errors if error.code() not in _PURGED]
        self._producer = Producer(self._options)

    def _send(self, record: Published) -> None:
        # Its queue takes 100,000 records, a quarter of an hour of them: it is never full.
        self._producer.produce(
            self._prefix + record.topic,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            timestamp=record.timestamp_ms,
            on_delivery=lambda error, _: self._errors.append(error) if error else None,
            partition=UNASSIGNED if record.partition is None else record.partition,
        )
        self._producer.poll(0)
        self.published += 1
