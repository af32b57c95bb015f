"""Reading a partition of a log from an offset to its end, outside of any group."""

import time
from collections.abc import Callable, Iterator, Sequence

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from workers.runtime.clients import Options
from workers.runtime.cluster import high_watermarks
from workers.runtime.cluster_watch import ClusterWatch
from workers.runtime.consumer_errors import raise_if_final

log = structlog.get_logger(__name__)

_WARN_AFTER_S = 60.0  # four times as long as a transaction may be open by default


def read_to_end(
    consumer_options: Options,
    admin_options: Options,
    topic: str,
    partition: int,
    start: int,
    *,
    cancelled: Callable[[], bool],
    warn_after: float = _WARN_AFTER_S,
) -> Iterator[Sequence[Message]]:
    """Yield the committed records of a partition in batches, from `start` to its end.

    The end is the high watermark, not the last stable offset: where a predecessor's transaction
    is still open, this waits until its coordinator has ended it, so that nothing that may yet
    be committed is overlooked. A coordinator that was killed may leave one open for good; then
    an operator has to end it, and the log says how.

    Args:
        consumer_options: of a consumer with `enable.partition.eof` and read_committed.
        admin_options: of the client that asks for the end.
        topic: name on the cluster.
        partition: its number.
        start: first offset to read; 0 reads all.
        cancelled: asked between batches; when true the reading ends early.
        warn_after: seconds without a record after which the log says what is waited for.

    Raises:
        WorkersError: the log cannot be read, or the cluster does not answer.
    """
    end = high_watermarks(admin_options, [(topic, partition)])[topic, partition]
    if start >= end:
        return
    consumer = Consumer(consumer_options)
    try:
        consumer.assign([TopicPartition(topic, partition, start or OFFSET_BEGINNING)])
        watch = ClusterWatch(consumer, topic)
        last_heard = time.monotonic()
        while not cancelled():
            messages = consumer.consume(10_000, 0.1)
            watch.polled(messages)
            records = [message for message in messages if message.error() is None]
            if records:
                yield records
                last_heard = time.monotonic()
            elif time.monotonic() - last_heard > warn_after:
                log.warning(
                    "nothing more can be read though this is not the end: a transaction is open, "
                    "or the broker is away. If it stays so, find it with kafka-transactions.sh "
                    "find-hanging and end it with kafka-transactions.sh abort",
                    topic=topic,
                    partition=partition,
                    end=end,
                )
                last_heard = time.monotonic()
            for message in messages:
                if (error := message.error()) is None:
                    continue
                if error.code() != KafkaError._PARTITION_EOF:
                    raise_if_final(error)
                elif (message.offset() or 0) >= end:
                    return
    finally:
        consumer.close()
