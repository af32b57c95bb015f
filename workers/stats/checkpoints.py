"""Making a checkpoint of each partition now and then, in a thread beside the loop."""

import shutil
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from stats_store.checkpoint import take_checkpoint
from stats_store.errors import StoreClosedError
from stats_store.store import PartitionStore
from workers.runtime.metrics import StatsMetrics
from workers.stats.checkpoint_storage import CancelledError, CheckpointStorage

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Watched:
    """A store, the position of its last checkpoint, and when the next one is due."""

    store: weakref.ref[PartitionStore]
    position: int
    due: float


class Checkpointer:
    """Ships checkpoints of the stores that it watches; a failure is logged and tried again.

    Args:
        storage: where they go.
        scratch: folder on the disk of the stores, for copies that are links.
        changelog: which changelog the positions are in.
        interval: seconds between two checkpoints of a partition.
        metrics: where it counts.
        clock: seconds that only go up.
    """

    def __init__(
        self,
        storage: CheckpointStorage,
        *,
        scratch: Path,
        changelog: str,
        interval: float,
        metrics: StatsMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._scratch = scratch
        self._changelog = changelog
        self._interval = interval
        self._metrics = metrics
        self._clock = clock
        self._watched: dict[int, _Watched] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    def start(self) -> None:
        """Begin; needed only where checkpoints shall be made without `make_due`."""
        self._thread.start()

    def stop(self) -> None:
        """End; a checkpoint that is being copied is given up."""
        self._stopping.set()
        self._thread.join()

    def watch(self, store: PartitionStore, *, checkpoint: int) -> None:
        """Make checkpoints of a store from now on, until it is closed.

        `checkpoint` is the position of the newest one that there is, 0 for none.
        """
        with self._lock:
            self._watched[store.partition] = _Watched(
                weakref.ref(store), checkpoint, self._clock() + self._interval
            )

    def make_due(self) -> None:
        """Make the checkpoints that are due now."""
        with self._lock:
            due = [each for each in self._watched.items() if each[1].due <= self._clock()]
        for partition, watched in due:
            store = watched.store()
            if store is None or store.closed or not self._make(store, watched):
                self._forget(partition, watched)
            if self._stopping.is_set():
                return
            watched.due = self._clock() + self._interval

    def _run(self) -> None:
        pause = min(1.0, self._interval)
        while not self._stopping.wait(pause):
            self.make_due()

    def _forget(self, partition: int, watched: _Watched) -> None:
        with self._lock:
            if self._watched.get(partition) is watched:
                del self._watched[partition]

    def _make(self, store: PartitionStore, watched: _Watched) -> bool:
        """Make a checkpoint if anything is new; say whether the store is still to be watched."""
        if store.changelog_position <= watched.position:
            return True
        started = time.perf_counter()
        copy = self._scratch / f"{store.partition}.checkpoint"
        try:
            shutil.rmtree(copy, ignore_errors=True)  # of a worker that was killed
            position = take_checkpoint(store, copy)
            stored = self._storage.publish(
                copy,
                changelog=self._changelog,
                partition=store.partition,
                position=position,
                cancelled=self._stopping.is_set,
            )
        except (StoreClosedError, CancelledError):
            return False
        except Exception as error:  # noqa: BLE001  every storage has errors of its own
            self._metrics.checkpoints.labels("failed").inc()
            log.warning("checkpoint failed", partition=store.partition, error=str(error))
            return True
        finally:
            shutil.rmtree(copy, ignore_errors=True)
        watched.position = position
        seconds = time.perf_counter() - started
        self._metrics.checkpoints.labels("made").inc()
        self._metrics.checkpoint_seconds.observe(seconds)
        self._metrics.checkpoint_bytes.labels(store.partition).set(stored.manifest.size)
        log.info(
            "checkpoint made",
            partition=store.partition,
            position=position,
            bytes=stored.manifest.size,
            seconds=round(seconds, 3),
            checkpoint=stored.path,
        )
        return True
