"""Records topics of a live cluster into one log, the partitions merged by time."""

import heapq
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from workers.errors import ConfigurationError, WorkersError
from workers.replay.event_log import EventLog, LogWriter
from workers.runtime.clients import ClientOptions
from workers.runtime.cluster import high_watermarks, partitions_of
from workers.runtime.processing import Headers, Record

log = structlog.get_logger(__name__)

_POLL_S = 0.1

_LASTING = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._AUTHENTICATION,
)

_Place = tuple[str, int]  # topic on the cluster, partition


def record_topics(
    target: Path,
    topics: Sequence[str],
    *,
    options: ClientOptions,
    topic_prefix: str,
    seconds: float = 0.0,
    until_quiet: float | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Record the committed records of topics, and return how many there were.

    They are in order of time: of all partitions the one whose next record is the earliest goes
    on, so that each keeps its own order. The file appears under its name when it is whole.

    Args:
        target: the file to write, which is replaced; `.gz` at the end of its name packs it.
        topics: contract names.
        options: of the clients.
        topic_prefix: what stands before a contract name on the cluster.
        seconds: how long to go on. The log ends at the high watermarks as they are then; with 0,
            as they are at the start.
        until_quiet: instead of that, end when nothing has come for so many seconds.
        on_progress: told, one by one, how many records there are so far.
        clock: a monotonic clock in seconds.

    Raises:
        ConfigurationError: a topic is missing, or the file cannot be written.
        WorkersError: the cluster does not answer, or a topic cannot be read.
    """
    partitions = partitions_of(options.common(), [topic_prefix + topic for topic in topics])
    by_contract = {topic: partitions[topic_prefix + topic] for topic in topics}
    if target.is_dir():
        raise ConfigurationError(f"{target} is a folder; name a file")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as name:
            folder = Path(name)
            # Each partition first gets a file of its own: which record is the earliest is only
            # known when all are there, and they may be more than memory holds.
            pieces = {
                (topic, partition): folder / f"{topic}-{partition}{target.suffix}"
                for topic, count in partitions.items()
                for partition in range(count)
            }
            with ExitStack() as stack:
                writers = {
                    place: stack.enter_context(LogWriter(piece, by_contract))
                    for place, piece in pieces.items()
                }
                records = _committed(
                    list(pieces), options, seconds=seconds, until_quiet=until_quiet, clock=clock
                )
                count = 0
                for count, message in enumerate(records, start=1):
                    topic, partition = _place(message)
                    record = _record(topic[len(topic_prefix) :], message)
                    writers[topic, partition].append(record)
                    on_progress(count)
            merged = folder / f"merged{target.suffix}"
            _merge(list(pieces.values()), merged, by_contract)
            merged.replace(target)
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written: {error.strerror}") from None
    return count


def _committed(
    places: Sequence[_Place],
    options: ClientOptions,
    *,
    seconds: float,
    until_quiet: float | None,
    clock: Callable[[], float],
) -> Iterator[Message]:
    """Yield what lies in the partitions, from their start until it is time to end."""
    ends = high_watermarks(options.common(), places)
    reached = dict.fromkeys(places, 0)
    started = last_news = clock()
    ends_are_final = until_quiet is None and seconds == 0
    consumer = Consumer(options.log_reader())
    try:
        consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in places])
        while True:
            now = clock()
            if until_quiet is None and not ends_are_final and now - started >= seconds:
                ends = high_watermarks(options.common(), places)
                ends_are_final = True
            if all(reached[place] >= end for place, end in ends.items()) and (
                ends_are_final if until_quiet is None else now - last_news >= until_quiet
            ):
                return
            for message in consumer.consume(10_000, _POLL_S):
                place, offset = _place(message), cast(int, message.offset())
                error = message.error()
                if error is None:
                    last_news = clock()
                    reached[place] = offset + 1
                    if not ends_are_final or offset < ends[place]:
                        yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    # Markers of transactions at the end are passed, but never delivered.
                    reached[place] = offset
                elif error.fatal() or error.code() in _LASTING:
                    raise WorkersError(f"the topics cannot be read: {error.str()}")
                else:
                    log.warning("consumer error, the client retries", error=error.str())
    finally:
        consumer.close()


def _merge(pieces: Sequence[Path], merged: Path, partitions: Mapping[str, int]) -> None:
    sides = [(record for _, record in EventLog(piece)) for piece in pieces]
    with LogWriter(merged, partitions) as writer:
        for record in heapq.merge(*sides, key=lambda record: record.timestamp_ms):
            writer.append(record)
    with merged.open("rb") as stream:
        os.fsync(stream.fileno())


def _place(message: Message) -> _Place:
    return cast(str, message.topic()), cast(int, message.partition())


def _record(topic: str, message: Message) -> Record:
    _, timestamp = message.timestamp()
    return Record(
        topic=topic,
        partition=cast(int, message.partition()),
        offset=cast(int, message.offset()),
        timestamp_ms=max(1, timestamp),  # the oldest clients send records without a time
        key=message.key(),
        value=message.value(),
        headers=cast(Headers, message.headers() or []),
    )
