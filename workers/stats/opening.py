"""Opening the store of a partition from what is nearest: its folder, or a checkpoint."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import structlog

from stats_store.errors import CorruptCheckpointError, StatsStoreError
from stats_store.store import PartitionStore
from workers.errors import WorkersError
from workers.runtime.metrics import StatsMetrics
from workers.stats.checkpoint_storage import CancelledError, CheckpointStorage, StoredCheckpoint
from workers.stats.progress import RestoreProgress

log = structlog.get_logger(__name__)

# A state that is behind by no more than this reads the changelog, about a second of it: fetching
# a whole checkpoint would take longer.
_NEAR_RECORDS = 20_000

OpenAt = Callable[[Path, int], PartitionStore]
"""Opens the store in a folder, made if need be, for a partition."""


class StoreOpener:
    """Opens stores; a checkpoint nearer to the changelog's end takes the place of the folder.

    Args:
        folder: one folder a partition lies in it, named by its number.
        open_at: opens one of them.
        storage: where checkpoints are; None for none.
        changelog: which changelog they must be of.
        ends: returns the end of a partition of the changelog.
        metrics: where it counts.
    """

    def __init__(
        self,
        folder: Path,
        *,
        open_at: OpenAt,
        storage: CheckpointStorage | None,
        changelog: str,
        ends: Callable[[int], int],
        metrics: StatsMetrics,
    ) -> None:
        self._folder = folder
        self._open_at = open_at
        self._storage = storage
        self._changelog = changelog
        self._ends = ends
        self._metrics = metrics
        self._fetched: dict[int, int] = {}

    @property
    def fetched(self) -> Mapping[int, int]:
        """The position of the checkpoint that a partition was last opened from."""
        return self._fetched

    def __call__(self, partition: int, cancelled: Callable[[], bool]) -> PartitionStore:
        """Open a partition's store; what is in its folder, if cancelled.

        What goes wrong with a checkpoint is logged, and the next nearest is used.

        Raises:
            StatsStoreError: what is in the folder cannot be used; nothing was changed in it.
            WorkersError: the cluster does not answer.
        """
        folder = self._folder / str(partition)
        store = self._open_at(folder, partition)
        if self._storage is None:
            return store
        with ExitStack() as unless_opened:
            unless_opened.callback(store.close)
            position = store.changelog_position
            fetched = self._fetch(partition, position, folder, cancelled)
            if fetched is None:
                unless_opened.pop_all()
                return store
            # The old folder leaves while it is open, so that nobody else can have opened it.
            replaced = folder.with_name(folder.name + ".replaced")
            shutil.rmtree(replaced, ignore_errors=True)
            folder.rename(replaced)
        fetched.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
        return self._open_at(folder, partition)

    def _fetch(
        self, partition: int, position: int, folder: Path, cancelled: Callable[[], bool]
    ) -> Path | None:
        """Return a folder with a checked checkpoint that is nearer than `position`, if any is."""
        fetched = folder.with_name(folder.name + ".fetched")
        end = self._ends(partition)
        if self._storage is None or position > end:
            return None  # the state is of another changelog, which the restore will say
        nearer = position + (_NEAR_RECORDS if position else 0)
        try:
            for checkpoint in self._storage.newest(self._changelog, partition, end=end):
                if checkpoint.manifest.position <= nearer or cancelled():
                    break
                shutil.rmtree(fetched, ignore_errors=True)  # of a worker that was killed
                if self._try(self._storage, checkpoint, fetched, cancelled):
                    self._fetched[partition] = checkpoint.manifest.position
                    return fetched
        except WorkersError as error:
            log.warning("no checkpoint can be used", partition=partition, reason=str(error))
        except CancelledError:
            log.info("the fetching of a checkpoint was cut short", partition=partition)
        shutil.rmtree(fetched, ignore_errors=True)
        return None

    def _try(
        self,
        storage: CheckpointStorage,
        checkpoint: StoredCheckpoint,
        fetched: Path,
        cancelled: Callable[[], bool],
    ) -> bool:
        manifest = checkpoint.manifest
        log.info(
            "fetching a checkpoint",
            partition=manifest.partition,
            position=manifest.position,
            bytes=manifest.size,
            checkpoint=checkpoint.path,
        )
        progress = RestoreProgress(
            self._metrics,
            partition=manifest.partition,
            source="checkpoint",
            start=0,
            end=manifest.size,
        )
        try:
            storage.fetch(checkpoint, fetched, moved=progress.moved, cancelled=cancelled)
            store = self._open_at(fetched, manifest.partition)
            try:
                if store.changelog_position != manifest.position:
                    raise CorruptCheckpointError(f"it is at {store.changelog_position}")
            finally:
                store.close()
        except StatsStoreError as error:
            self._metrics.checkpoints.labels("refused").inc()
            log.warning("checkpoint passed over", checkpoint=checkpoint.path, reason=str(error))
            return False
        progress.done()
        self._metrics.checkpoints.labels("fetched").inc()
        return True
