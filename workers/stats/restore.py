"""Bringing a store up to date: the changelog first, then what is published of it."""

import time
from collections.abc import Callable

import structlog

from stats_store.errors import StoreMismatchError
from stats_store.store import PartitionStore
from workers.runtime.clients import ClientOptions
from workers.runtime.cluster import high_watermarks
from workers.runtime.log_reader import read_to_end
from workers.runtime.metrics import StatsMetrics
from workers.stats.partials import PartialsFollower

log = structlog.get_logger(__name__)


class Restorer:
    """Reads what a store lacks from the changelog and marks what it has yet to publish.

    Args:
        options: of the clients.
        changelog: the changelog's name on the cluster.
        partials: the follower of the partials topic.
        metrics: where it counts.
        timeout: seconds that the partials of a partition may take to arrive.
    """

    def __init__(
        self,
        options: ClientOptions,
        *,
        changelog: str,
        partials: PartialsFollower,
        metrics: StatsMetrics,
        timeout: float,
    ) -> None:
        self._options = options
        self._changelog = changelog
        self._partials = partials
        self._metrics = metrics
        self._timeout = timeout

    def __call__(self, store: PartitionStore, cancelled: Callable[[], bool]) -> None:
        """Restore a store; returns early, with what it has so far made durable, if cancelled.

        Raises:
            StoreMismatchError: the store is ahead of the changelog, so it is of another one.
            StatsStoreError: a record of the changelog is foreign, or the disk fails.
            KafkaException: the changelog cannot be read.
            WorkersError: the partials cannot be read.
        """
        started = time.perf_counter()
        partition, position = store.partition, store.changelog_position
        changelog = self._changelog, partition
        end = high_watermarks(self._options.common(), [changelog])[changelog]
        if position > end:
            raise StoreMismatchError(
                f"the state of partition {partition} is at {position} of {self._changelog}, which "
                f"ends at {end}: they do not belong together. Move the state's folder away, and "
                f"it is restored from the changelog, or bring the right changelog back"
            )
        applied = 0
        for messages in read_to_end(
            self._options.log_reader(),
            self._options.common(),
            self._changelog,
            partition,
            position,
            cancelled=cancelled,
        ):
            applied += store.restore(
                (message.offset() or 0, message.key() or b"", message.value())
                for message in messages
            )
            self._metrics.restored_records.inc(len(messages))
        # Of all partitions: the first listing shall already see what the others have counted.
        ends = high_watermarks(self._options.common(), self._partials.places)
        self._partials.wait_until_read(ends, timeout=self._timeout, cancelled=cancelled)
        if not cancelled():
            store.reconcile_parts(self._partials.published(partition))
        seconds = time.perf_counter() - started
        self._metrics.restore_seconds.observe(seconds)
        log.info(
            "state restored",
            partition=partition,
            from_offset=position,
            to_offset=end,
            records=applied,
            seconds=round(seconds, 3),
        )
