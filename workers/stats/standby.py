"""Following the changelog of partitions that other workers own, to take over in seconds."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from stats_store.errors import StatsStoreError, StoreLockedError
from stats_store.store import PartitionStore
from workers.errors import WorkersError
from workers.runtime.clients import ClientOptions
from workers.runtime.cluster_watch import ClusterWatch
from workers.runtime.consumer_errors import raise_if_final
from workers.runtime.metrics import StatsMetrics
from workers.stats.restore import check_belongs

log = structlog.get_logger(__name__)

_LOOK_INTERVAL_S = 1.0  # between two looks for partitions that can be followed
_TURN_S = 0.05  # the longest that a partition waits to be let go
_PAUSE_S = 5.0  # after the changelog could not be read


@dataclass(slots=True)
class _Lent:
    """A partition that this worker was given: its store, None until it is open."""

    store: PartitionStore | None = None


class Standby:
    """Keeps stores of partitions that this worker does not own near their changelog's end.

    All that writes to such a store is the thread of this object. `open_store` is to be used in
    the place of the opener it was given: it ends the following of the partition first. Once the
    store that it returned is closed, the partition is followed again.

    Args:
        options: of the clients.
        changelog: name of the changelog on the cluster.
        open_store: opens a partition's store, as `StoreOpener` does.
        order: the partitions, those to be followed first at the head.
        limit: how many are followed, at most.
        metrics: where it counts.
    """

    def __init__(
        self,
        options: ClientOptions,
        *,
        changelog: str,
        open_store: Callable[[int, Callable[[], bool]], PartitionStore],
        order: Sequence[int],
        limit: int,
        metrics: StatsMetrics,
    ) -> None:
        self._options = options
        self._changelog = changelog
        self._open = open_store
        self._order = tuple(order)
        self._limit = limit
        self._metrics = metrics
        self._change = threading.Condition()
        self._lent: dict[int, _Lent] = {}  # under the condition, as is what follows
        self._following: dict[int, PartitionStore] = {}
        self._opening: int | None = None
        self._given_up: set[int] = set()
        self._look_at = 0.0
        self._changed = False  # which partitions the consumer should read
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="standby", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End following; returns when every followed store is closed."""
        self._stopping.set()
        self._thread.join()

    def open_store(self, partition: int, cancelled: Callable[[], bool]) -> PartitionStore:
        """Open the store of a partition that this worker was given."""
        with self._change:
            lent = self._lent[partition] = _Lent()
            self._given_up.discard(partition)
            self._change.wait_for(
                lambda: partition not in self._following and partition != self._opening
            )
        try:
            lent.store = self._open(partition, cancelled)
        except BaseException:
            with self._change:
                del self._lent[partition]
            raise
        return lent.store

    # --- the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._follow()
                except (WorkersError, KafkaException) as error:
                    log.warning("standby cannot follow, trying again", error=str(error))
                    self._close(list(self._following))
                    self._stopping.wait(_PAUSE_S)
        finally:
            self._close(list(self._following))  # or the worker could never open them

    def _follow(self) -> None:
        consumer = Consumer(self._options.log_reader())
        watch = ClusterWatch(consumer, self._changelog)
        try:
            while not self._stopping.is_set():
                with self._change:
                    wanted = [p for p in self._following if p in self._lent]
                self._close(wanted)
                self._take_up()
                if self._changed:
                    consumer.assign([self._place(p) for p in self._following])
                    self._changed = False
                messages = consumer.consume(10_000, _TURN_S)
                watch.polled(messages)
                self._apply(consumer, messages)
        finally:
            consumer.close()

    def _place(self, partition: int) -> TopicPartition:
        position = self._following[partition].changelog_position
        return TopicPartition(self._changelog, partition, position or OFFSET_BEGINNING)

    def _close(self, partitions: Sequence[int]) -> None:
        """Stop following partitions."""
        for partition in partitions:
            self._following[partition].close()
            self._metrics.standby_lag.remove(partition)
            with self._change:
                del self._following[partition]
                self._change.notify_all()
            self._changed = True

    def _take_up(self) -> None:
        """Follow partitions that nobody here uses."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK_INTERVAL_S
        for partition in self._order:
            if len(self._following) >= self._limit or self._hurried():
                break
            self._take_up_one(partition)

    def _hurried(self) -> bool:
        """Whether something is more urgent than opening another store."""
        return self._stopping.is_set() or any(p in self._lent for p in list(self._following))

    def _take_up_one(self, partition: int) -> None:
        with self._change:
            lent = self._lent.get(partition)
            if lent is not None and lent.store is not None and lent.store.closed:
                del self._lent[partition]
                lent = None
            if lent is not None or partition in self._following or partition in self._given_up:
                return
            self._opening = partition

        def cancelled() -> bool:
            return self._hurried() or partition in self._lent

        store: PartitionStore | None = None
        try:
            store = self._open(partition, cancelled)
            if cancelled():
                store.close()
                return
            end = check_belongs(self._options, self._changelog, store)
            with self._change:
                self._following[partition] = store
            self._changed = True
            position = store.changelog_position
            self._metrics.standby_lag.labels(partition).set(end - position)
            log.info("standby follows", partition=partition, position=position)
        except StoreLockedError:
            pass  # a worker that shares the data folder has it
        except StatsStoreError as error:
            self._give_up(partition, store, error)
        except BaseException:
            if store is not None:
                store.close()
            raise
        finally:
            with self._change:
                self._opening = None
                self._change.notify_all()

    def _give_up(
        self, partition: int, store: PartitionStore | None, error: StatsStoreError
    ) -> None:
        log.warning("standby leaves a partition", partition=partition, error=str(error))
        if store is not None:
            store.close()
        with self._change:
            self._given_up.add(partition)

    def _apply(self, consumer: Consumer, messages: Sequence[Message]) -> None:
        records: dict[int, list[tuple[int, bytes, bytes | None]]] = {}
        ended: set[int] = set()
        for message in messages:
            partition, offset = cast(int, message.partition()), cast(int, message.offset())
            if (error := message.error()) is None:
                batch = records.setdefault(partition, [])
                batch.append((offset, message.key() or b"", message.value()))
                ended.discard(partition)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(partition)
            else:
                raise_if_final(error)
        for partition, batch in records.items():
            store = self._following[partition]  # which no other thread closes
            try:
                store.restore_batch(batch)
            except StatsStoreError as error:
                self._close([partition])
                self._give_up(partition, None, error)
                continue
            self._metrics.standby_records.inc(len(batch))
            place = TopicPartition(self._changelog, partition)
            high = consumer.get_watermark_offsets(place, cached=True)[1]
            behind = max(0, high - store.changelog_position)
            self._metrics.standby_lag.labels(partition).set(behind)
        for partition in ended & self._following.keys():
            self._metrics.standby_lag.labels(partition).set(0)
