"""Publishing events as a listing service and a payment service would."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from confluent_kafka import KafkaError, Producer

from schemas.cloudevents import encode
from schemas.topics import MAX_MESSAGE_BYTES
from workers.errors import WorkersError
from workers.replay.timeline import TimedEvent
from workers.runtime.clients import Options

SOURCE = "/secondsight/demo"
FLUSH_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to publish; `topic` is the name in the contract."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    timestamp_ms: int


def outgoing(timed: TimedEvent) -> Outgoing:
    """Return the record of an event."""
    return Outgoing(
        topic=timed.topic,
        key=timed.key,
        value=timed.event.to_bytes(),
        headers=encode(
            timed.event,
            event_id=timed.event_id,
            source=SOURCE,
            time=timed.time,
            subject=timed.subject,
        ),
        timestamp_ms=timed.timestamp_ms,
    )


def publish(
    records: Iterable[Outgoing],
    *,
    options: Options,
    topic: Callable[[str], str],
    on_published: Callable[[], None] = lambda: None,
) -> None:
    """Publish records in their order and return when the cluster has them all.

    Args:
        records: what to publish.
        options: that every client is given.
        topic: gives a topic's name on the cluster.
        on_published: called for each record that is stored.

    Raises:
        WorkersError: the cluster refuses a record, or does not answer.
    """
    refused: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is None:
            on_published()
        else:
            refused.append(error)

    producer = Producer(
        {
            **options,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,  # the order holds when a request is sent again
            "linger.ms": 5,
            "message.max.bytes": MAX_MESSAGE_BYTES,
        }
    )
    for record in records:
        while True:
            try:
                producer.produce(
                    topic(record.topic),
                    record.value,
                    record.key,
                    headers=list(record.headers),
                    timestamp=record.timestamp_ms,
                    on_delivery=delivered,
                )
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
        if refused:
            break
    unsent = producer.flush(FLUSH_TIMEOUT_S)
    if refused:
        raise WorkersError(f"Kafka refused a record: {refused[0].str()}")
    if unsent:
        raise WorkersError(f"Kafka did not take {unsent} records in {FLUSH_TIMEOUT_S:.0f} s")
