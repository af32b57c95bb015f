from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import Message, Producer
from structlog.testing import capture_logs

from workers.runtime.clients import ClientOptions
from workers.runtime.log_reader import read_to_end

SECONDS = 20.0


@contextmanager
def open_transaction(kafka: str, topic: str) -> Iterator[Producer]:
    """A transaction with one record that is neither committed nor aborted meanwhile."""
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": f"open-{topic}"})
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    producer.produce(topic, b"undecided", b"key", partition=0)
    assert producer.flush(SECONDS) == 0
    yield producer


def _read(
    kafka: str, topic: str, *, cancelled: Callable[[], bool], warn_after: float
) -> Iterator[Sequence[Message]]:
    options = ClientOptions(bootstrap_servers=kafka)
    return read_to_end(
        options.log_reader(),
        options.common(),
        topic,
        0,
        0,
        cancelled=cancelled,
        warn_after=warn_after,
    )


def test_waiting_for_a_transaction_is_told(
    kafka: str,
    topic_prefix: str,
    make_topic: Callable[..., str],
    produce: Callable[..., None],
) -> None:
    topic = make_topic(f"{topic_prefix}log")
    produce(topic, [{"key": b"key", "value": b"settled", "partition": 0}])
    read: list[bytes | None] = []
    with open_transaction(kafka, topic) as producer, capture_logs() as logged:

        def warnings() -> list[dict[str, object]]:
            return [dict(line) for line in logged if line["log_level"] == "warning"]

        def told() -> bool:
            # the first record may have taken as long itself
            return bool(read) and len(warnings()) > warned_before

        warned_before = 0
        for messages in _read(kafka, topic, cancelled=told, warn_after=0.5):
            read.extend(message.value() for message in messages)
            warned_before = len(warnings())
        assert read == [b"settled"]
        warning = warnings()[-1]
        assert (warning["topic"], warning["partition"], warning["end"]) == (topic, 0, 2)
        assert "kafka-transactions.sh" in str(warning["event"])
        producer.commit_transaction(SECONDS)
    after = [
        message.value()
        for messages in _read(kafka, topic, cancelled=lambda: False, warn_after=SECONDS)
        for message in messages
    ]
    assert after == [b"settled", b"undecided"]
