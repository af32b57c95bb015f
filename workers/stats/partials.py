"""Following what the other partitions publish of category and global statistics."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    Message,
    TopicPartition,
)

from stats_store.histogram import PriceHistogram
from stats_store.partials import RemoteParts
from stats_store.scope import ScopeKey
from workers.errors import WorkersError
from workers.runtime.clients import Options
from workers.runtime.cluster_watch import ClusterWatch
from workers.runtime.consumer_errors import raise_if_final


class PartialsFollower:
    """Reads the partials topic in a thread of its own, from the start and then as it grows.

    Safe to use from several threads.

    Args:
        consumer_options: of a consumer with `enable.partition.eof` and read_committed.
        topic: name on the cluster.
        partitions: how many it has.
    """

    def __init__(self, consumer_options: Options, *, topic: str, partitions: int) -> None:
        self._options = consumer_options
        self._topic = topic
        self._parts = RemoteParts()
        self._read_up_to = dict.fromkeys(range(partitions), 0)
        self._progress = threading.Condition()
        self._stopping = threading.Event()
        self._error: Exception | None = None
        self.places = [(topic, partition) for partition in range(partitions)]
        self._thread = threading.Thread(target=self._run, name="partials", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End following; returns when the thread has ended."""
        self._stopping.set()
        self._thread.join()

    def wait_until_read(
        self, ends: Mapping[tuple[str, int], int], *, timeout: float, cancelled: Callable[[], bool]
    ) -> None:
        """Return when every (topic, partition) has been read up to its offset, or if cancelled.

        Raises:
            WorkersError: that took longer than `timeout` seconds, or the topic cannot be read.
        """
        deadline = time.monotonic() + timeout
        with self._progress:
            while (late := self._unread(ends)) and self._error is None and not cancelled():
                if time.monotonic() > deadline:
                    raise WorkersError(
                        f"{self._topic}: {late} not read to their end in {timeout} s"
                    )
                self._progress.wait(0.2)  # being cancelled notifies nobody
        self.check()

    def _unread(self, ends: Mapping[tuple[str, int], int]) -> list[int]:
        return [p for (_, p), end in ends.items() if self._read_up_to[p] < end]

    def published(self, partition: int) -> dict[bytes, bytes]:
        """Return what a partition has published, by the byte form of the key."""
        with self._progress:
            return self._parts.published(partition)

    @property
    def latest_day(self) -> int:
        """The latest day that any partition with a window says it knows of; 0 without."""
        with self._progress:
            return self._parts.latest_day

    def total(self, key: ScopeKey, *, without: int) -> PriceHistogram | None:
        """Return the sum of all parts of a statistic but that of one partition, to be read only."""
        with self._progress:
            return self._parts.total(key, without=without)

    def check(self) -> None:
        """Raise what ended the thread, if anything did.

        Raises:
            WorkersError: the topic cannot be read, or holds what is no partial statistic.
        """
        if self._error is not None:
            raise WorkersError(f"cannot follow {self._topic}: {self._error}") from self._error

    def _run(self) -> None:
        consumer = Consumer(self._options)
        try:
            consumer.assign(
                [TopicPartition(self._topic, p, OFFSET_BEGINNING) for p in self._read_up_to]
            )
            watch = ClusterWatch(consumer, self._topic)
            while not self._stopping.is_set():
                messages = consumer.consume(1_000, 0.1)
                watch.polled(messages)
                if messages:
                    self._apply(messages)
        except Exception as error:  # noqa: BLE001  the loop's thread raises it, see check()
            with self._progress:
                self._error = error
                self._progress.notify_all()
        finally:
            consumer.close()

    def _apply(self, messages: Sequence[Message]) -> None:
        with self._progress:
            for message in messages:
                partition = cast(int, message.partition())
                offset = cast(int, message.offset())
                if (error := message.error()) is None:
                    self._parts.apply(partition, message.key() or b"", message.value())
                    self._read_up_to[partition] = offset + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    self._read_up_to[partition] = offset
                else:
                    raise_if_final(error)
            self._progress.notify_all()
