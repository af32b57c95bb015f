"""One Kafka transaction a batch: outputs and input offsets stand or fall together.

KIP-98 and KIP-447: one producer a process; the group's metadata travels with the offsets, so
that a member of a past generation is refused by the group's coordinator.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from workers.errors import WorkersError
from workers.runtime.processing import Output


class TransactionAbortedError(WorkersError):
    """The transaction was aborted; nothing of it stands, and the producer is good for another."""


class OutcomeUnknownError(WorkersError):
    """Whether the transaction stands is not known; the producer has been thrown away."""


class TransactionalProducer:
    """Writes batches transactionally, and replaces its producer when that has become unusable.

    Args:
        options: librdkafka options with a `transactional.id`.
        physical: maps a topic's contract name to its name on the cluster.
        timeout: seconds that a transaction may take, and again as much its abort, before its
            outcome counts as unknown.
    """

    def __init__(
        self, options: Mapping[str, object], *, physical: Callable[[str], str], timeout: float
    ) -> None:
        self._options = dict(options)
        self._physical = physical
        self._timeout = timeout
        self._producer: Producer | None = None

    def start(self) -> None:
        """Create the producer; fences a predecessor of the same id and ends its transaction.

        Raises:
            KafkaException: the transaction coordinator cannot be reached.
        """
        producer = Producer(self._options)
        producer.init_transactions(self._timeout)
        self._producer = producer

    def commit(
        self,
        outputs: Iterable[Output],
        offsets: Mapping[tuple[str, int], int],
        consumer: Consumer,
    ) -> dict[tuple[str, int], int]:
        """Write outputs and input offsets in one transaction.

        Args:
            outputs: what to write, in order.
            offsets: the next offset to read by (contract topic, partition).
            consumer: the member of the group on whose behalf offsets are committed.

        Returns:
            The last offset written by (contract topic, partition).

        Raises:
            TransactionAbortedError: nothing stands; the batch may be tried again.
            OutcomeUnknownError: ask the logs what stands before going on.
        """
        if self._producer is None:
            try:
                self.start()
            except KafkaException as error:
                raise TransactionAbortedError(f"no producer can be started: {error}") from error
        producer = self._producer
        assert producer is not None  # noqa: S101  start() made it
        deadline = time.monotonic() + self._timeout
        written: dict[tuple[str, int], int] = {}
        try:
            producer.begin_transaction()
            self._produce(producer, outputs, written)
            # Delivery reports come before the commit, since it does not serve them.
            if producer.flush(_left(deadline)):
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            self._retried(
                producer.send_offsets_to_transaction,
                [TopicPartition(self._physical(t), p, o) for (t, p), o in offsets.items()],
                consumer.consumer_group_metadata(),
                deadline=deadline,
            )
        except KafkaException as error:
            self._abort(producer, error)
        try:
            self._retried(producer.commit_transaction, deadline=deadline)
        except KafkaException as error:
            if error.args[0].txn_requires_abort():
                self._abort(producer, error)
            self._throw_away()
            raise OutcomeUnknownError(f"the commit did not return: {error}") from error
        return written

    def close(self) -> None:
        """Let the producer go; an open transaction is aborted by its coordinator."""
        self._throw_away()

    def _produce(
        self,
        producer: Producer,
        outputs: Iterable[Output],
        written: dict[tuple[str, int], int],
    ) -> None:
        last: dict[tuple[str, int], Output] = {}
        for output in outputs:
            if (earlier := last.pop((output.topic, output.partition), None)) is not None:
                self._enqueue(producer, earlier, None)
            last[output.topic, output.partition] = output
        # Only the last record of a partition reports its offset: a callback a record is costly.
        for where, output in last.items():

            def report(
                error: KafkaError | None, message: Message, where: tuple[str, int] = where
            ) -> None:
                offset = message.offset()
                if error is None and offset is not None:
                    written[where] = offset

            self._enqueue(producer, output, report)

    def _enqueue(self, producer: Producer, output: Output, report: Any) -> None:
        while True:
            try:
                producer.produce(
                    self._physical(output.topic),
                    value=output.value,
                    key=output.key,
                    partition=output.partition,
                    timestamp=output.timestamp_ms,
                    headers=list(output.headers),
                    on_delivery=report,
                )
            except BufferError:
                producer.poll(0.1)
            else:
                return

    def _retried(self, step: Callable[..., object], *args: object, deadline: float) -> None:
        while True:
            try:
                step(*args, _left(deadline))
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise
            else:
                return

    def _abort(self, producer: Producer, cause: KafkaException) -> None:
        """End the transaction that failed before its commit was asked for: it cannot stand."""
        try:
            deadline = time.monotonic() + self._timeout
            self._retried(producer.abort_transaction, deadline=deadline)
        except KafkaException:
            self._throw_away()
        raise TransactionAbortedError(f"the transaction was aborted: {cause}") from cause

    def _throw_away(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaException):
                producer.purge()
                producer.flush(0)


def _left(deadline: float) -> float:
    """Return the seconds until a deadline, at least a moment: 0 would not wait at all."""
    return max(0.1, deadline - time.monotonic())
