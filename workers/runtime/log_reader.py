"""Reading a partition of a log from an offset to its end, outside of any group."""

from collections.abc import Callable, Iterator, Sequence

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from workers.runtime.clients import Options


def high_watermark(options: Options, topic: str, partition: int) -> int:
    """Return the end of a partition, records of open transactions included."""
    where = TopicPartition(topic, partition)
    admin = AdminClient(options)  # kept until it has answered: with it its requests end
    answer = admin.list_offsets(
        {where: OffsetSpec.latest()},  # type: ignore[no-untyped-call]
        isolation_level=IsolationLevel.READ_UNCOMMITTED,
        request_timeout=30.0,
    )
    return int(answer[where].result().offset)


def read_to_end(
    consumer_options: Options,
    admin_options: Options,
    topic: str,
    partition: int,
    start: int,
    *,
    cancelled: Callable[[], bool],
) -> Iterator[Sequence[Message]]:
    """Yield the committed records of a partition in batches, from `start` to its end.

    The end is the high watermark, not the last stable offset: where a predecessor's transaction
    is still open, this waits until its coordinator has ended it, so that nothing that may yet
    be committed is overlooked.

    Args:
        consumer_options: of a consumer with `enable.partition.eof` and read_committed.
        admin_options: of the client that asks for the end.
        topic: name on the cluster.
        partition: its number.
        start: first offset to read; 0 reads all.
        cancelled: asked between batches; when true the reading ends early.

    Raises:
        KafkaException: the log cannot be read.
    """
    end = high_watermark(admin_options, topic, partition)
    if start >= end:
        return
    consumer = Consumer(consumer_options)
    try:
        consumer.assign([TopicPartition(topic, partition, start or OFFSET_BEGINNING)])
        while not cancelled():
            messages = consumer.consume(10_000, 0.1)
            records = [message for message in messages if message.error() is None]
            if records:
                yield records
            for message in messages:
                if (error := message.error()) is None:
                    continue
                if error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                if (message.offset() or 0) >= end:
                    return
    finally:
        consumer.close()
