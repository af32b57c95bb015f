"""Publishes a dataset or a recorded log in order of time, at any speed."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.base import rfc3339
from schemas.topics import FOREVER, MAX_DEAD_LETTER_BYTES
from workers.errors import BadDataError, WorkersError
from workers.replay.sources import Publication, Source
from workers.replay.time_limits import TimeLimits, time_limits_of
from workers.runtime.clients import ClientOptions, Options
from workers.runtime.cluster import partitions_of

log = structlog.get_logger(__name__)

_POLL_S = 0.1


@dataclass(slots=True)
class _Span:
    """What is to be published to one topic."""

    earliest_ms: int
    latest_ms: int
    latest_where: str


def replay(
    source: Source,
    *,
    options: ClientOptions,
    topic_prefix: str,
    speed: float = 0.0,
    on_start: Callable[[int], None] = lambda _: None,
    on_stored: Callable[[], None] = lambda: None,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Publish all of a source and return how many records that was.

    The whole source is looked through before the first record is published: what is broken in
    it, or what Kafka would refuse, ends this with nothing published. Records keep their order
    within a partition; nothing is published twice by a retry (an idempotent producer).

    Args:
        source: what to publish.
        options: of the clients.
        topic_prefix: what stands before a contract name on the cluster.
        speed: seconds of the source in a second; 1 is real time, 0 as fast as possible.
        on_start: told how many records there are before the first is published.
        on_stored: called for each record that Kafka has acknowledged.
        now: seconds since 1970.
        clock: a monotonic clock in seconds.

    Raises:
        BadDataError: the source is broken, or has timestamps that Kafka refuses.
        ConfigurationError: a topic is missing.
        WorkersError: a record could not be stored (says which), or the cluster does not answer.
    """
    count, spans = _survey(source)
    on_cluster = {topic: topic_prefix + topic for topic in spans}
    found = partitions_of(options.common(), on_cluster.values())
    limits = time_limits_of(options.common(), on_cluster.values())
    for topic, span in spans.items():
        _check_times(topic, span, limits[on_cluster[topic]], now_ms=int(now() * 1000))
    on_start(count)
    partitions = {topic: found[name] for topic, name in on_cluster.items()}
    _publish(
        source.publications(partitions),
        _producer_options(options),
        on_cluster,
        speed=speed,
        on_stored=on_stored,
        clock=clock,
    )
    return count


def _survey(source: Source) -> tuple[int, dict[str, _Span]]:
    spans: dict[str, _Span] = {}
    count = 0
    for publication in source.publications({}):
        count += 1
        at = publication.timestamp_ms
        if at < 1:
            raise BadDataError(f"{publication.where}: Kafka has no times before 1970")
        span = spans.setdefault(publication.topic, _Span(at, at, publication.where))
        span.earliest_ms = min(span.earliest_ms, at)
        if at > span.latest_ms:
            span.latest_ms, span.latest_where = at, publication.where
    return count, spans


def _check_times(topic: str, span: _Span, limits: TimeLimits, *, now_ms: int) -> None:
    if span.latest_ms - now_ms > limits.ahead_ms:
        raise BadDataError(
            f"{span.latest_where}: its timestamp {_shown(span.latest_ms)} is more than "
            f"{limits.ahead_ms / 60_000:g} minutes ahead of this machine's clock, and Kafka "
            f"refuses such records (message.timestamp.after.max.ms of {topic}). Nothing was "
            "published"
        )
    if limits.retention_ms != FOREVER and now_ms - span.earliest_ms > limits.retention_ms:
        log.warning(
            "records older than the topic's retention are deleted soon after they are written; "
            "'secondsight topics --keep-all' creates topics that keep them",
            topic=topic,
            earliest=_shown(span.earliest_ms),
            retention_days=limits.retention_ms / 86_400_000,
        )


def _shown(timestamp_ms: int) -> str:
    try:
        return rfc3339(datetime.fromtimestamp(timestamp_ms / 1000, UTC))
    except (OverflowError, ValueError, OSError):  # after the year 9999
        return f"{timestamp_ms} ms"


def _producer_options(options: ClientOptions) -> Options:
    return {
        **options.common(),
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": 5,
        "message.max.bytes": MAX_DEAD_LETTER_BYTES,
    }


def _publish(
    publications: Iterable[Publication],
    options: Options,
    on_cluster: Mapping[str, str],
    *,
    speed: float,
    on_stored: Callable[[], None],
    clock: Callable[[], float],
) -> None:
    producer = Producer(options)
    failed: list[str] = []  # the first one counts: what follows may be its consequence

    def report(where: str) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is None:
                on_stored()
            else:
                failed.append(f"{where}: not stored: {error.str()}")

        return delivered

    def check() -> None:
        if failed:
            producer.purge()
            producer.flush(_POLL_S)
            raise WorkersError(failed[0])

    started, first_due_ms = clock(), None
    for publication in publications:
        if first_due_ms is None:
            first_due_ms = publication.due_ms
        if speed:
            due = started + (publication.due_ms - first_due_ms) / 1000 / speed
            while (wait := due - clock()) > 0:
                producer.poll(min(wait, _POLL_S))
                check()
        try:
            _enqueue(producer, publication, on_cluster[publication.topic], report)
        except KafkaException as error:
            failed.append(f"{publication.where}: not stored: {error.args[0].str()}")
        producer.poll(0)
        check()
    while producer.flush(_POLL_S):
        check()
    check()


def _enqueue(
    producer: Producer, publication: Publication, topic: str, report: Callable[[str], Any]
) -> None:
    while True:
        try:
            producer.produce(
                topic,
                value=publication.value,
                key=publication.key,
                partition=publication.partition,
                timestamp=publication.timestamp_ms,
                headers=list(publication.headers),
                on_delivery=report(publication.where),
            )
        except BufferError:
            producer.poll(_POLL_S)
        else:
            return
