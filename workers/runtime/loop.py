"""The poll loop: from polled records to committed transactions, through faults."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import structlog
from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
)

from workers.errors import WorkersError
from workers.runtime.batch_window import AT_HAND_S, BatchWindow
from workers.runtime.cluster_watch import ClusterWatch
from workers.runtime.consumer_errors import raise_if_final
from workers.runtime.dead_letters import DeadLetters, dead_letter
from workers.runtime.failures import FailureStreak
from workers.runtime.merge import TimestampMerge
from workers.runtime.metrics import LoopMetrics
from workers.runtime.partitions import OwnedPartitions
from workers.runtime.processing import Later, Output, Processor, Record, Rejected
from workers.runtime.tracing import Traces
from workers.runtime.transaction import (
    OutcomeUnknownError,
    TransactionAbortedError,
    TransactionalProducer,
)

log = structlog.get_logger(__name__)

_POLLED_AT_ONCE = 1_000  # they are turned into records while they are in the processor's cache


class TransactionalLoop:
    """Runs one processor over the partitions that the group gives this worker.

    Args:
        processor: see `workers.runtime.processing.Processor`; all of its calls but `assigned`
            come from the thread that calls `run`.
        consumer: a member of the group, not yet subscribed; the loop closes it.
        producer: writes the batches; the loop starts and closes it.
        inputs: contract names of the input topics, co-partitioned; the first one leads.
        topic_prefix: what stands before a contract name on the cluster.
        dead_letters: counts rejected records and stops the worker when they are too many.
        metrics: where the loop counts.
        traces: where spans of traced records go, if anywhere.
        batch_max_records: most records in one transaction.
        batch_max_wait: seconds that the first record of a batch waits for company. While the
            consumer has more at hand, the batch is filled instead, for half a second at most.
        max_idle: seconds a caught-up input holds the other one back.
        worker_faults: errors of `process` that no record is to blame for, besides OSError,
            MemoryError, KafkaException and WorkersError: they end the worker.
        give_up_after: seconds of failing transactions in a row, or of a cluster that does not
            answer, after which the worker ends.
        on_beat: called once a turn: the loop is alive.
        on_ready: called with whether all assigned partitions are restored, when that changes.
    """

    def __init__(
        self,
        processor: Processor,
        *,
        consumer: Consumer,
        producer: TransactionalProducer,
        inputs: Sequence[str],
        topic_prefix: str,
        dead_letters: DeadLetters,
        metrics: LoopMetrics,
        batch_max_records: int,
        batch_max_wait: float,
        max_idle: float,
        traces: Traces | None = None,
        worker_faults: tuple[type[Exception], ...] = (),
        give_up_after: float = 90.0,
        on_beat: Callable[[], None] = lambda: None,
        on_ready: Callable[[bool], None] = lambda _ready: None,
    ) -> None:
        self._processor = processor
        self._consumer = consumer
        self._producer = producer
        self._watch = ClusterWatch(consumer, topic_prefix + inputs[0], give_up_after=give_up_after)
        self._contract_name = {topic_prefix + name: name for name in inputs}
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._traces = traces
        self._batch_max = batch_max_records
        self._window = BatchWindow(wait=batch_max_wait)
        self._worker_faults: tuple[type[Exception], ...] = (
            OSError,
            MemoryError,
            KafkaException,
            WorkersError,
            *worker_faults,
        )
        self._on_beat = on_beat
        self._merge = TimestampMerge(inputs, max_idle=max_idle)
        self._buffer_max = 2 * batch_max_records
        self._partitions = OwnedPartitions(
            processor,
            consumer=consumer,
            merge=self._merge,
            inputs=inputs,
            topic_prefix=topic_prefix,
            metrics=metrics,
            give_up_after=give_up_after,
            on_ready=on_ready,
        )
        self._limit = batch_max_records  # halved while a poisonous record is being looked for
        self._attempts: dict[tuple[str, int, int], int] = {}
        self._failures = FailureStreak(give_up_after=give_up_after)
        self._held = False  # the last batch had records that were put off
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ask the loop to end after the batch in hand. Safe to call from a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Run until `stop`: then finish the batch in hand, leave the group and return.

        Raises:
            DeadLetterLimitError: too many records are rejected.
            WorkersError: no transaction can be made for long, or the group refuses this member.
            KafkaException: a fatal error of a client.
        """
        self._start_producer()
        self._partitions.subscribe()
        try:
            while not self._stopping.is_set():
                self._on_beat()
                self._poll()
                self._partitions.start_restored()
                batch = self._take_batch()
                if batch or self._due():
                    self._transact(batch)
        finally:
            self._stopping.set()
            try:
                self._partitions.close()
            finally:
                self._producer.close()

    def _due(self) -> bool:
        """Say whether the processor has something to write, of partitions that stand still."""
        able = self._partitions.settled and not self._failures.pause()
        return able and self._processor.due()

    # --- polling -------------------------------------------------------------------------

    def _poll(self) -> None:
        if self._held or self._room() <= 0:
            self._stop_fetching()
        # Never not at all: only a poll tells that partitions were taken away.
        most = min(max(1, self._room()), self._batch_max, _POLLED_AT_ONCE)
        patience = max(self._patience(), AT_HAND_S)
        messages = self._consume(most, patience)
        self._watch.polled(messages)
        self._window.polled(patience, full=len(messages) == most)
        arrived: list[Record] = []
        polled: list[Record] = []
        for message in messages:
            if (error := message.error()) is None:
                polled.append(self._record(message))
                continue
            arrived += self._merge.add(polled)  # first, as the event comes after them
            polled = []
            self._consumer_event(error, message)
        arrived += self._merge.add(polled)
        if arrived:
            self._window.open()
            self._metrics.consumed(arrived)
            self._processor.arrived(arrived)
        self._resume_drained()

    def _consume(self, most: int, patience: float) -> list[Message]:
        """Return what comes; `consume` alone would wait out its time for the first one, too."""
        if len(self._merge):
            return self._consumer.consume(most, patience)
        if (first := self._consumer.poll(patience)) is None:
            return []
        return [first, *self._consumer.consume(most - 1, 0)] if most > 1 else [first]

    def _room(self) -> int:
        """Return how many more records may be buffered."""
        room = self._buffer_max - len(self._merge)
        if self._held:  # what a partition with records that are not ready holds is its own
            room += sum(self._merge.buffered(*place) for place in self._partitions.paused)
        return room

    def _patience(self) -> float:
        """Return how long a poll may wait for records, in seconds."""
        if self._stopping.is_set():
            return 0.0
        wait = self._merge.seconds_to_release()
        if pause := self._failures.pause():
            wait = pause
        elif wait == 0 and len(self._merge) >= self._limit:
            return 0.0
        elif wait == 0:
            wait = self._window.seconds_left()
        # While it restores, a partition is started by the turn after its state is there.
        longest = 0.01 if self._partitions.restoring else 0.1
        return longest if wait is None else min(wait, longest)

    def _record(self, message: Any) -> Record:  # a Message; its stubs would ask for casts
        kind, timestamp = message.timestamp()
        return Record(
            self._contract_name[message.topic()],
            message.partition(),
            message.offset(),
            0 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
            message.key(),
            message.value(),
            message.headers() or (),
        )

    def _origin(self, message: Message) -> tuple[str, int]:
        """Return topic, by its contract name, and partition; a consumed message has both."""
        return self._contract_name[cast(str, message.topic())], cast(int, message.partition())

    def _consumer_event(self, error: KafkaError, message: Message) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            origin = self._origin(message)
            self._merge.reached_end(*origin)
            self._metrics.reached_end(*origin)
        else:
            raise_if_final(error)

    def _stop_fetching(self) -> None:
        """Fetch nothing more that no batch can take soon; what a batch waits for still is."""
        if self._failures.pause():
            self._partitions.pause(self._partitions.fetched)
        elif self._held or self._merge.seconds_to_release() != 0:
            self._partitions.pause(self._merge.overfull(self._batch_max))

    def _resume_drained(self) -> None:
        if not self._failures.pause():
            self._partitions.resume(lambda place: self._merge.buffered(*place) < self._batch_max)

    def _take_batch(self) -> list[Record]:
        """Return a batch when it is full or its first record has waited long enough."""
        if self._merge.seconds_to_release() != 0 or self._failures.pause():
            return []
        self._window.open()  # for what an earlier batch left
        if len(self._merge) < self._limit and not self._window.over():
            return []
        self._window.close()
        return self._merge.take(self._limit)

    # --- transactions --------------------------------------------------------------------

    def _transact(self, batch: list[Record]) -> None:
        started = time.perf_counter()
        try:
            results = self._processor.process(batch)
        except self._worker_faults:
            raise
        except Exception as error:
            self._processor.aborted()
            if not batch:
                raise
            if len(batch) > 1:
                self._look_closer(batch, error)
                return
            results = [Rejected(batch[0], "process", error), *self._processor.skip(batch[0])]
        results, batch = self._put_off(results, batch)
        rejected = [result for result in results if isinstance(result, Rejected)]
        if not batch and not results:
            return
        self._dead_letters.check(len(batch), len(rejected))
        outputs = [
            dead_letter(result, attempt=self._attempt(result.record))
            if isinstance(result, Rejected)
            else result
            for result in results
        ]
        if self._commit(batch, outputs):
            self._dead_letters.count(len(batch), len(rejected))
            self._limit = min(self._batch_max, self._limit * 2)
            seconds = time.perf_counter() - started
            self._metrics.committed(batch, outputs, rejected, seconds)
            if self._traces is not None:
                self._traces.committed(batch, seconds=seconds)

    def _put_off(
        self, results: Sequence[Output | Rejected | Later], batch: list[Record]
    ) -> tuple[list[Output | Rejected], list[Record]]:
        """Return what is left of a batch without the records that are to come again."""
        kept = [result for result in results if not isinstance(result, Later)]
        self._held = len(kept) < len(results)
        if self._held:
            off = [result.record for result in results if isinstance(result, Later)]
            self._merge.put_off(off)
            places = {(record.topic, record.partition, record.offset) for record in off}
            batch = [r for r in batch if (r.topic, r.partition, r.offset) not in places]
        return kept, batch

    def _commit(self, batch: list[Record], outputs: list[Output]) -> bool:
        # The offsets also show the group's coordinator whether this member is still one of it,
        # so what is written without records carries the positions as they are.
        offsets = {(record.topic, record.partition): record.offset + 1 for record in batch}
        offsets = offsets or self._partitions.positions(output.partition for output in outputs)
        try:
            written = self._producer.commit(outputs, offsets, self._consumer)
        except TransactionAbortedError as error:
            self._failed(error, "aborted")
            self._processor.aborted()
            self._merge.put_back(batch)
            return False
        except OutcomeUnknownError as error:
            self._failed(error, "unknown")
            self._processor.aborted()
            self._start_producer()
            self._partitions.start_over()
            return False
        self._failures.succeeded()
        self._attempts.clear()
        self._partitions.committed(offsets)
        self._processor.committed(written)
        return True

    def _start_producer(self) -> None:
        """Start a producer, which settles what its predecessor left open; keep trying a while."""
        while not self._stopping.is_set():
            try:
                self._producer.start()
            except KafkaException as error:
                self._failed(WorkersError(f"no producer can be started: {error}"), "unknown")
                self._on_beat()
                self._stopping.wait(self._failures.pause())
            else:
                return

    def _look_closer(self, batch: list[Record], error: Exception) -> None:
        """Try again with half the batch, so that the one record that fails stands alone."""
        log.warning("a batch failed, halving it", records=len(batch), error=repr(error))
        for record in batch:
            self._attempts[record.topic, record.partition, record.offset] = (
                self._attempt(record) + 1
            )
        self._limit = max(1, len(batch) // 2)
        self._merge.put_back(batch)

    def _attempt(self, record: Record) -> int:
        return self._attempts.get((record.topic, record.partition, record.offset), 1)

    def _failed(self, error: WorkersError, outcome: str) -> None:
        log.warning("transaction failed", outcome=outcome, error=str(error))
        self._metrics.aborted(outcome)
        self._failures.failed(error)
