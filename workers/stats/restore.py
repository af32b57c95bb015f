"""Bringing a store up to date: the changelog first, then what is published of it."""

import time
from collections.abc import Callable
from typing import cast

import structlog

from stats_store.errors import StoreMismatchError
from stats_store.store import PartitionStore
from workers.runtime.clients import ClientOptions
from workers.runtime.cluster import high_watermarks, low_watermarks
from workers.runtime.log_reader import read_to_end
from workers.runtime.metrics import StatsMetrics
from workers.stats.partials import PartialsFollower
from workers.stats.progress import RestoreProgress

log = structlog.get_logger(__name__)


class Restorer:
    """Reads what a store lacks from the changelog and marks what it has yet to publish.

    Args:
        options: of the clients.
        changelog: the changelog's name on the cluster.
        partials: the follower of the partials topic.
        metrics: where it counts.
        timeout: seconds that the partials of a partition may take to arrive.
        on_restored: told of every store that is up to date.
    """

    def __init__(
        self,
        options: ClientOptions,
        *,
        changelog: str,
        partials: PartialsFollower,
        metrics: StatsMetrics,
        timeout: float,
        on_restored: Callable[[PartitionStore], None] = lambda _store: None,
    ) -> None:
        self._options = options
        self._changelog = changelog
        self._partials = partials
        self._metrics = metrics
        self._timeout = timeout
        self._on_restored = on_restored

    def __call__(self, store: PartitionStore, cancelled: Callable[[], bool]) -> None:
        """Restore a store; returns early, with what it has so far made durable, if cancelled.

        Raises:
            StoreMismatchError: the store is of another changelog, or what it lacks was deleted.
            StatsStoreError: a record of the changelog is foreign, or the disk fails.
            KafkaException: the changelog cannot be read.
            WorkersError: the partials cannot be read.
        """
        started = time.perf_counter()
        partition, position = store.partition, store.changelog_position
        end = check_belongs(self._options, self._changelog, store)
        progress = RestoreProgress(
            self._metrics, partition=partition, source="changelog", start=position, end=end
        )
        read = 0
        for messages in read_to_end(
            self._options.log_reader(),
            self._options.common(),
            self._changelog,
            partition,
            position,
            cancelled=cancelled,
        ):
            store.restore_batch(
                [(cast(int, each.offset()), each.key() or b"", each.value()) for each in messages]
            )
            read += len(messages)
            self._metrics.restored_records.inc(len(messages))
            progress.at(store.changelog_position)
        # Of all partitions: the first listing shall already see what the others have counted.
        ends = high_watermarks(self._options.common(), self._partials.places)
        self._partials.wait_until_read(ends, timeout=self._timeout, cancelled=cancelled)
        if cancelled():
            return
        progress.done()
        store.reconcile_parts(self._partials.published(partition))
        self._on_restored(store)
        seconds = time.perf_counter() - started
        self._metrics.restore_seconds.observe(seconds)
        log.info(
            "state restored",
            partition=partition,
            from_offset=position,
            to_offset=end,
            records=read,
            seconds=round(seconds, 3),
        )


def check_belongs(options: ClientOptions, changelog: str, store: PartitionStore) -> int:
    """Return the end of a store's changelog, which must be able to bring it up to date.

    Raises:
        StoreMismatchError: the store is ahead of it, or records that it lacks were deleted.
        WorkersError: the cluster does not answer.
    """
    place, position = (changelog, store.partition), store.changelog_position
    end = high_watermarks(options.common(), [place])[place]
    if position > end:
        raise StoreMismatchError(
            f"the state of partition {store.partition} is at {position} of {changelog}, which "
            f"ends at {end}: they do not belong together. Move the state's folder away, and "
            f"it is restored from the changelog, or bring the right changelog back"
        )
    first = low_watermarks(options.common(), [place])[place]
    if position < first:
        raise StoreMismatchError(
            f"the state of partition {store.partition} is at {position} of {changelog}, whose "
            f"records before {first} were deleted, so it cannot be brought up to date. Set "
            f"SECONDSIGHT_CHECKPOINT_URL to where a newer checkpoint lies, or copy the folder of "
            f"a worker that has one; and see that the topic's cleanup.policy is compact"
        )
    return end
