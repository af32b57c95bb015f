"""What lies in the topics, read by a consumer of its own that sees committed records only."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from workers.runtime.clients import ClientOptions
from workers.runtime.log_reader import read_to_end

POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One committed record of a topic with one partition; of repeated headers the last counts."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes | None]

    @property
    def event_id(self) -> str | None:
        """The `ce_id`; None where the record has none."""
        found = self.headers.get("ce_id")
        return None if found is None else found.decode(errors="replace")


def read_log(options: ClientOptions, topic: str) -> list[LogEntry]:
    """Read a topic of one partition to its end.

    Args:
        options: of the clients.
        topic: its name on the cluster.

    Raises:
        KafkaException: it cannot be read.
    """
    batches = read_to_end(
        options.log_reader(), options.common(), topic, 0, 0, cancelled=lambda: False
    )
    return [
        LogEntry(
            offset=message.offset() or 0,
            timestamp_ms=message.timestamp()[1],
            key=message.key(),
            value=message.value(),
            headers=_headers(message),
        )
        for batch in batches
        for message in batch
    ]


def await_records(
    options: ClientOptions,
    topics: Iterable[str],
    *,
    number: int,
    quiet_limit: float,
    check: Callable[[], None],
    on_progress: Callable[[int], None],
) -> bool:
    """Follow topics of one partition from their starts until there are so many records in all.

    Args:
        options: of the clients.
        topics: their names on the cluster.
        number: how many records to wait for.
        quiet_limit: seconds without a new record after which waiting is given up.
        check: called now and then; raises what ends the waiting.
        on_progress: told how many there are.

    Returns:
        Whether they came.

    Raises:
        KafkaException: a topic cannot be read.
    """
    consumer = Consumer(options.log_reader())
    try:
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING) for topic in topics])
        seen = 0
        last = time.monotonic()
        while seen < number:
            check()
            new = _count(consumer.consume(1_000, 0.2))
            if new:
                seen += new
                last = time.monotonic()
                on_progress(seen)
            elif time.monotonic() - last > quiet_limit:
                return False
        return True
    finally:
        consumer.close()


def await_consumed(
    options: ClientOptions,
    topic: str,
    *,
    group: str,
    number: int,
    time_limit: float,
    check: Callable[[], None],
) -> bool:
    """Return when a consumer group has committed so many records of a topic of one partition.

    Args:
        options: of the clients.
        topic: its name on the cluster.
        group: whose offset is asked for.
        number: how many records to wait for.
        time_limit: seconds after which waiting is given up.
        check: called now and then; raises what ends the waiting.

    Returns:
        Whether it did.

    Raises:
        KafkaException: the cluster does not answer.
    """
    consumer = Consumer({**options.common(), "group.id": group})  # asks only, never joins
    deadline = time.monotonic() + time_limit
    try:
        while consumer.committed([TopicPartition(topic, 0)], timeout=30.0)[0].offset < number:
            check()
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True
    finally:
        consumer.close()


def _count(messages: Sequence[Message]) -> int:
    new = 0
    for message in messages:
        if (error := message.error()) is None:
            new += 1
        elif error.code() != KafkaError._PARTITION_EOF and not error.retriable():
            raise KafkaException(error)
    return new


def _headers(message: Message) -> dict[str, bytes | None]:
    pairs = cast(Sequence[tuple[str, bytes | None]], message.headers() or ())
    return dict(pairs)
