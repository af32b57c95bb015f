"""The poll loop: from polled records to committed transactions, through rebalances and faults.

The group balances the partitions of the first input; the same partitions of the other inputs
follow them, so that they stay together whatever the assignor (they are co-partitioned). A
partition is fetched once its state is restored, and from where the restored state says.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import structlog
from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from workers.errors import WorkersError
from workers.runtime.consumer_errors import raise_if_final
from workers.runtime.dead_letters import DeadLetters
from workers.runtime.failures import FailureStreak
from workers.runtime.merge import TimestampMerge
from workers.runtime.metrics import LoopMetrics
from workers.runtime.positions import start_positions
from workers.runtime.processing import Output, Processor, Record, Rejected
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
        batch_max_records: most records in one transaction.
        batch_max_wait: seconds that the first record of a batch waits for company.
        max_idle: seconds a caught-up input holds the other one back.
        worker_faults: errors of `process` that no record is to blame for, besides OSError,
            MemoryError, KafkaException and WorkersError: they end the worker.
        give_up_after: seconds of failing transactions in a row after which the worker ends.
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
        worker_faults: tuple[type[Exception], ...] = (),
        give_up_after: float = 90.0,
        on_beat: Callable[[], None] = lambda: None,
        on_ready: Callable[[bool], None] = lambda _ready: None,
    ) -> None:
        self._processor = processor
        self._consumer = consumer
        self._producer = producer
        self._inputs = tuple(inputs)
        self._prefix = topic_prefix
        self._contract_name = {topic_prefix + name: name for name in self._inputs}
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._batch_max = batch_max_records
        self._batch_wait = batch_max_wait
        self._worker_faults: tuple[type[Exception], ...] = (
            OSError,
            MemoryError,
            KafkaException,
            WorkersError,
            *worker_faults,
        )
        self._on_beat = on_beat
        self._on_ready = on_ready
        self._merge = TimestampMerge(inputs, max_idle=max_idle)
        self._buffer_max = 2 * batch_max_records
        self._paused: set[tuple[str, int]] = set()
        self._owned: set[int] = set()
        self._started: set[int] = set()  # those of them that are fetched
        self._restoring: dict[int, Future[Mapping[str, int]]] = {}
        self._restorers = ThreadPoolExecutor(thread_name_prefix="restore")
        self._limit = batch_max_records  # halved while a poisonous record is being looked for
        self._attempts: dict[tuple[str, int, int], int] = {}
        self._failures = FailureStreak(give_up_after=give_up_after)
        self._failed_starts = FailureStreak(give_up_after=give_up_after)
        self._positions: dict[tuple[str, int], int] = {}
        self._batch_open_since: float | None = None
        self._stopping = threading.Event()
        self._joined = False
        self._ready = False

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
        self._consumer.subscribe(
            [self._prefix + self._inputs[0]],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._revoked,
        )
        try:
            while not self._stopping.is_set():
                self._on_beat()
                self._poll()
                self._finish_restores()
                batch = self._take_batch()
                if batch or self._due():
                    self._transact(batch)
        finally:
            self._stopping.set()
            try:
                self._consumer.close()  # hands the partitions back: _revoked is called
                for partition in sorted(self._owned):  # not handed back: the client had failed
                    self._processor.revoked(partition)
            finally:
                self._producer.close()
                self._restorers.shutdown()

    def _due(self) -> bool:
        """Say whether the processor has something to write, of partitions that stand still."""
        settled = bool(self._owned) and not self._restoring
        return settled and not self._failures.pause() and self._processor.due()

    # --- polling -------------------------------------------------------------------------

    def _poll(self) -> None:
        room = self._buffer_max - len(self._merge)
        if room <= 0:
            self._stop_fetching()
            # Never not at all: only a poll tells that partitions were taken away.
            room = 1
        messages = self._consumer.consume(
            min(room, self._batch_max, _POLLED_AT_ONCE), self._patience()
        )
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
            self._metrics.consumed(arrived)
            self._processor.arrived(arrived)
        self._resume_drained()

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
            since = self._batch_open_since
            open_for = 0.0 if since is None else time.monotonic() - since
            wait = max(0.0, self._batch_wait - open_for)
        # While it restores, a partition is started by the turn after its state is there.
        longest = 0.01 if self._restoring else 0.1
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
        """Fetch nothing more while no batch can be taken, except what one of them waits for."""
        if self._failures.pause():
            sides = [(topic, partition) for partition in self._started for topic in self._inputs]
        elif self._merge.seconds_to_release() != 0:
            sides = self._merge.overfull(self._batch_max)
        else:
            return
        if sides := [side for side in sides if side not in self._paused]:
            self._consumer.pause([self._topic_partition(*side) for side in sides])
            self._paused.update(sides)

    def _resume_drained(self) -> None:
        if self._failures.pause():
            return
        drained = [s for s in self._paused if self._merge.buffered(*s) < self._batch_max]
        if drained:
            self._consumer.resume([self._topic_partition(*side) for side in drained])
            self._paused.difference_update(drained)

    def _take_batch(self) -> list[Record]:
        """Return a batch when it is full or its first record has waited long enough."""
        if self._merge.seconds_to_release() != 0 or self._failures.pause():
            return []
        now = time.monotonic()
        if self._batch_open_since is None:
            self._batch_open_since = now
        if len(self._merge) < self._limit and now - self._batch_open_since < self._batch_wait:
            return []
        self._batch_open_since = None
        return self._merge.take(self._limit)

    # --- rebalancing ---------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        partitions = [tp.partition for tp in assigned]
        # Nothing is fetched before the state is there. (Fetching paused and then seeking is a
        # race with the client's own look-up of offsets, which the client may win.)
        consumer.incremental_assign([])
        self._joined = True
        log.info("partitions assigned", partitions=partitions)
        self._metrics.rebalanced("assigned", partitions)
        for partition in partitions:
            self._begin(partition)
        self._tell_readiness()

    def _revoked(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        partitions = [tp.partition for tp in revoked]
        log.info("partitions revoked", partitions=partitions)
        self._metrics.rebalanced("revoked", partitions)
        self._let_go(consumer, partitions)
        self._tell_readiness()

    def _begin(self, partition: int) -> None:
        """Have the partition's state restored in another thread."""
        self._owned.add(partition)
        self._restoring[partition] = self._restorers.submit(self._processor.assigned, partition)

    def _let_go(self, consumer: Consumer, partitions: Sequence[int]) -> None:
        """Stop fetching partitions and hand back what is held of them."""
        places = [(topic, partition) for partition in partitions for topic in self._inputs]
        if paused := self._paused.intersection(places):
            # A partition that comes back later would come back paused.
            consumer.resume([self._topic_partition(*place) for place in paused])
            self._paused -= paused
        fetched = [self._topic_partition(*place) for place in places if place[1] in self._started]
        self._started.difference_update(partitions)
        consumer.incremental_unassign(fetched)
        for place in places:
            self._positions.pop(place, None)
        for partition in partitions:
            self._merge.close(partition)
            self._owned.discard(partition)
            restore = self._restoring.pop(partition, None)
            if restore is not None and restore.cancel():
                continue  # it had not begun
            self._processor.revoked(partition)
            if restore is not None:
                restore.exception()  # waits; what a cut-short restore says is of no interest
                self._processor.revoked(partition)  # it may have been past being cut short

    def _finish_restores(self) -> None:
        """Start the partitions whose state is there."""
        if self._failed_starts.pause():
            return
        for partition, restore in list(self._restoring.items()):
            if not restore.done():
                continue
            restored = restore.result()
            try:
                starts = start_positions(
                    self._consumer,
                    [self._topic_partition(topic, partition) for topic in self._inputs],
                    {self._prefix + topic: offset for topic, offset in restored.items()},
                )
            except KafkaException as error:  # a broker that has just started, as a rule
                raise_if_final(error.args[0])
                log.warning("where to read on is not known", partition=partition, error=str(error))
                self._failed_starts.failed(WorkersError(f"where to read on is not known: {error}"))
                continue
            self._failed_starts.succeeded()
            del self._restoring[partition]
            for topic, start in zip(self._inputs, starts, strict=True):
                self._positions[topic, partition] = start.offset
            self._merge.open(partition)
            self._started.add(partition)
            self._consumer.incremental_assign(starts)
            log.info(
                "partition started",
                partition=partition,
                offsets={start.topic: start.offset for start in starts},
            )
            self._tell_readiness()

    def _start_over(self) -> None:
        """Begin again with every partition from what the logs say, after an unknown outcome."""
        self._start_producer()
        partitions = sorted(self._owned)
        self._let_go(self._consumer, partitions)
        for partition in partitions:
            self._begin(partition)
        self._tell_readiness()

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

    def _tell_readiness(self) -> None:
        # A member that the group gives no partition is ready too: it stands by.
        ready = self._joined and not self._restoring
        if ready != self._ready:
            self._ready = ready
            self._on_ready(ready)

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
        rejected = [result for result in results if isinstance(result, Rejected)]
        if not batch and not results:
            return
        self._dead_letters.check(len(batch), len(rejected))
        outputs = [
            self._dead_letters.output(result, attempt=self._attempt(result.record))
            if isinstance(result, Rejected)
            else result
            for result in results
        ]
        if self._commit(batch, outputs):
            self._dead_letters.count(len(batch), len(rejected))
            self._limit = min(self._batch_max, self._limit * 2)
            self._metrics.committed(batch, outputs, rejected, time.perf_counter() - started)

    def _commit(self, batch: list[Record], outputs: list[Output]) -> bool:
        # The offsets also show the group's coordinator whether this member is still one of it,
        # so what is written without records carries the positions as they are.
        offsets = {(record.topic, record.partition): record.offset + 1 for record in batch} or {
            place: offset
            for place, offset in self._positions.items()
            if place[1] in {output.partition for output in outputs}
        }
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
            self._start_over()
            return False
        self._failures.succeeded()
        self._attempts.clear()
        self._positions.update(offsets)
        self._processor.committed(written)
        return True

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

    def _topic_partition(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(self._prefix + topic, partition)
