"""The partitions that the group gives this worker: taken over, restored, fetched, let go.

The group balances the partitions of the first input; the same partitions of the other inputs
follow them, so that they stay together whatever the assignor (they are co-partitioned). A
partition is fetched once its state is restored, and from where the restored state says.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from workers.errors import WorkersError
from workers.runtime.consumer_errors import is_final
from workers.runtime.failures import FailureStreak
from workers.runtime.merge import TimestampMerge
from workers.runtime.metrics import LoopMetrics
from workers.runtime.positions import start_positions
from workers.runtime.processing import Processor

log = structlog.get_logger(__name__)

Place = tuple[str, int]
"""A partition of one input: its topic, by its contract name, and its number."""


class OwnedPartitions:
    """Follows the group's assignment. All calls come from the thread that polls the consumer.

    Args:
        processor: restores the state of a partition, and is told when it is let go.
        consumer: a member of the group, not yet subscribed; `close` closes it.
        merge: opened for a partition when it is fetched, closed when it is let go.
        inputs: contract names of the input topics, the leading one first.
        topic_prefix: what stands before a contract name on the cluster.
        metrics: counts rebalances.
        give_up_after: seconds for which the cluster may not tell where to read on.
        on_ready: called with whether all assigned partitions are restored, when that changes.
    """

    def __init__(
        self,
        processor: Processor,
        *,
        consumer: Consumer,
        merge: TimestampMerge,
        inputs: Sequence[str],
        topic_prefix: str,
        metrics: LoopMetrics,
        give_up_after: float,
        on_ready: Callable[[bool], None],
    ) -> None:
        self._processor = processor
        self._consumer = consumer
        self._merge = merge
        self._inputs = tuple(inputs)
        self._prefix = topic_prefix
        self._metrics = metrics
        self._on_ready = on_ready
        self._owned: set[int] = set()
        self._restoring: dict[int, Future[Mapping[str, int]]] = {}
        self._restorers = ThreadPoolExecutor(thread_name_prefix="restore")
        # Of its own: transactions of the others go on while one cannot be started.
        self._failures = FailureStreak(give_up_after=give_up_after)
        self._positions: dict[Place, int] = {}  # of those that are fetched
        self._paused: set[Place] = set()
        self._joined = False
        self._ready = False

    def subscribe(self) -> None:
        """Join the group; polls of the consumer then bring and take partitions."""
        self._consumer.subscribe(
            [self._prefix + self._inputs[0]],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._revoked,
        )

    def close(self) -> None:
        """Leave the group, and let go of what it does not take back."""
        try:
            self._consumer.close()  # hands the partitions back: _revoked is called
            self._release(sorted(self._owned))  # not handed back: the client had failed
        finally:
            self._restorers.shutdown()

    # --- what the loop asks --------------------------------------------------------------

    @property
    def restoring(self) -> bool:
        """Whether a partition is not fetched yet, since its state is being restored."""
        return bool(self._restoring)

    @property
    def settled(self) -> bool:
        """Whether there are partitions, and all of them are fetched."""
        return bool(self._owned) and not self._restoring

    @property
    def fetched(self) -> Iterable[Place]:
        """The places that are fetched, also those that are paused."""
        return self._positions.keys()

    @property
    def paused(self) -> Iterable[Place]:
        """The places of which nothing is fetched until `resume`."""
        return self._paused

    def positions(self, partitions: Iterable[int]) -> dict[Place, int]:
        """Return up to where partitions that are fetched are committed, else their starts."""
        wanted = set(partitions)
        return {place: at for place, at in self._positions.items() if place[1] in wanted}

    def committed(self, offsets: Mapping[Place, int]) -> None:
        """Note what was committed: the next offset of each place."""
        self._positions.update(offsets)

    def pause(self, places: Iterable[Place]) -> None:
        """Fetch nothing more of these until `resume`."""
        if new := [place for place in places if place not in self._paused]:
            self._consumer.pause([self._topic_partition(place) for place in new])
            self._paused.update(new)

    def resume(self, which: Callable[[Place], bool]) -> None:
        """Fetch those again that were paused and of which this holds."""
        if found := [place for place in self._paused if which(place)]:
            self._consumer.resume([self._topic_partition(place) for place in found])
            self._paused.difference_update(found)

    def start_restored(self) -> None:
        """Have the partitions fetched whose state is there.

        Raises:
            ConfigurationError: a state and its inputs do not belong together.
            WorkersError: for long, or for good, the cluster does not say where to read on.
            Exception: what a restore raised.
        """
        if self._failures.pause():
            return
        for partition, restore in list(self._restoring.items()):
            if not restore.done():
                continue
            restored = restore.result()
            try:
                starts = start_positions(
                    self._consumer,
                    [self._topic_partition(place) for place in self._places(partition)],
                    {self._prefix + topic: offset for topic, offset in restored.items()},
                )
            except KafkaException as error:
                # The others come first next time; and not at once, since an answer that does not
                # come takes its time, and the loop has to come round.
                self._restoring[partition] = self._restoring.pop(partition)
                self._not_started(partition, error)
                return
            self._failures.succeeded()
            self._start(partition, starts)

    def start_over(self) -> None:
        """Begin again with every partition from what the logs say."""
        partitions = sorted(self._owned)
        self._let_go(partitions)
        for partition in partitions:
            self._begin(partition)
        self._tell_readiness()

    # --- from the assignment to the fetching, and back -----------------------------------

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

    def _revoked(self, _consumer: Consumer, revoked: list[TopicPartition]) -> None:
        partitions = [tp.partition for tp in revoked]
        log.info("partitions revoked", partitions=partitions)
        self._metrics.rebalanced("revoked", partitions)
        self._let_go(partitions)
        self._tell_readiness()

    def _begin(self, partition: int) -> None:
        """Have the partition's state restored in another thread."""
        self._owned.add(partition)
        self._restoring[partition] = self._restorers.submit(self._processor.assigned, partition)

    def _start(self, partition: int, starts: list[TopicPartition]) -> None:
        del self._restoring[partition]
        for place, start in zip(self._places(partition), starts, strict=True):
            self._positions[place] = start.offset
        self._merge.open(partition)
        self._consumer.incremental_assign(starts)
        offsets = {start.topic: start.offset for start in starts}
        log.info("partition started", partition=partition, offsets=offsets)
        self._tell_readiness()

    def _not_started(self, partition: int, error: KafkaException) -> None:
        reason: KafkaError = error.args[0]
        told = f"where to read on in partition {partition} is not known: {reason.str()}"
        # A broker that has just started may not know its partitions yet.
        if is_final(reason) and reason.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise WorkersError(told) from error
        log.warning("where to read on is not known", partition=partition, error=reason.str())
        self._failures.failed(WorkersError(told))

    def _let_go(self, partitions: Sequence[int]) -> None:
        """Stop fetching partitions, and hand back what is held of them."""
        # A partition that was paused would come back paused.
        self.resume(lambda place: place[1] in partitions)
        self._consumer.incremental_unassign(
            [self._topic_partition(place) for place in self.positions(partitions)]
        )
        self._release(partitions)

    def _release(self, partitions: Sequence[int]) -> None:
        """Forget partitions, and have the processor close their state."""
        for partition in partitions:
            for place in self._places(partition):
                self._positions.pop(place, None)
            self._merge.close(partition)
            self._owned.discard(partition)
            restore = self._restoring.pop(partition, None)
            if restore is not None and restore.cancel():
                continue  # it had not begun
            self._processor.revoked(partition)
            if restore is not None:
                restore.exception()  # waits; what a cut-short restore says is of no interest
                self._processor.revoked(partition)  # it may have been past being cut short

    def _tell_readiness(self) -> None:
        # A member that the group gives no partition is ready too: it stands by.
        ready = self._joined and not self._restoring
        if ready != self._ready:
            self._ready = ready
            self._on_ready(ready)

    def _places(self, partition: int) -> list[Place]:
        return [(topic, partition) for topic in self._inputs]

    def _topic_partition(self, place: Place) -> TopicPartition:
        return TopicPartition(self._prefix + place[0], place[1])
