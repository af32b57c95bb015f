"""Where checkpoints lie: a folder or an object store, whatever fsspec reaches.

A checkpoint is a folder `URL/CHANGELOG/PARTITION/POSITION-RANDOM`. Its manifest is written last, so
what has none is half-written and nobody takes it. An object store cannot rename, which is why
nothing rests on a rename.
"""

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import structlog

from stats_store.checkpoint import MANIFEST, CheckpointManifest, FileSum, copy_summed
from stats_store.errors import CorruptCheckpointError, StatsStoreError
from workers.object_storage import open_storage, storage_errors

log = structlog.get_logger(__name__)

_NAME = re.compile(r"(\d{20})-[0-9a-f]{32}", re.ASCII)
_UNSAFE = re.compile(r"[^\w.@-]", re.ASCII)


class CancelledError(Exception):
    """A copy was cut short because nobody wants it any more."""


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint with its manifest, and where it lies."""

    path: str
    manifest: CheckpointManifest


class CheckpointStorage:
    """Publishes checkpoints, finds and fetches them. Safe to use from several threads.

    Args:
        url: a folder, or an address that fsspec knows, such as s3://bucket/prefix.
        kept: how many of a partition are kept, the newest ones.

    Raises:
        ConfigurationError: nothing reaches that address.
    """

    def __init__(self, url: str, *, kept: int = 2) -> None:
        self._files, self._root = open_storage(url, setting="SECONDSIGHT_CHECKPOINT_URL")
        self._kept = kept

    def publish(
        self,
        folder: Path,
        *,
        changelog: str,
        partition: int,
        position: int,
        cancelled: Callable[[], bool],
    ) -> StoredCheckpoint:
        """Copy a checkpoint from a folder and make it known; then remove what it replaces.

        Raises:
            WorkersError: the storage cannot be written to.
            CancelledError: it was no longer wanted.
        """
        path = f"{self._place(changelog, partition)}/{position:020d}-{uuid.uuid4().hex}"
        sums: dict[str, FileSum] = {}

        def moved(_size: int) -> None:
            if cancelled():
                raise CancelledError

        with _told(f"a checkpoint cannot be written to {path}"):
            self._files.makedirs(path, exist_ok=True)
            for file in sorted(folder.iterdir()):
                with file.open("rb") as source, self._open(f"{path}/{file.name}", "wb") as target:
                    sums[file.name] = copy_summed(source, target, moved)
            manifest = CheckpointManifest(
                changelog=changelog,
                partition=partition,
                position=position,
                made_at=datetime.now(UTC).isoformat(timespec="seconds"),
                files=sums,
            )
            # An object appears whole or not at all; on a disk a kill may leave half a manifest,
            # which does not agree with the sum in it.
            self._files.pipe_file(f"{path}/{MANIFEST}", manifest.to_bytes())
            self._remove_older(changelog, partition, position)
        return StoredCheckpoint(path, manifest)

    def newest(self, changelog: str, partition: int, *, end: int) -> Iterator[StoredCheckpoint]:
        """Yield the checkpoints of a partition, the newest first; warn of those that are none.

        `end` is the end of the changelog; what is ahead of it is not of this one.

        Raises:
            WorkersError: the storage cannot be read.
        """
        with _told(f"checkpoints at {self._root} cannot be read"):
            for path in reversed(self._names(changelog, partition)):
                manifest = self._manifest(path)
                if manifest is None:
                    continue
                if (manifest.changelog, manifest.partition) != (changelog, partition):
                    _passed_over(path, f"it is of {manifest.changelog} {manifest.partition}")
                elif manifest.position > end:
                    _passed_over(path, f"it is ahead of the changelog, which ends at {end}")
                else:
                    yield StoredCheckpoint(path, manifest)

    def fetch(
        self,
        checkpoint: StoredCheckpoint,
        folder: Path,
        *,
        moved: Callable[[int], None],
        cancelled: Callable[[], bool],
    ) -> None:
        """Copy a checkpoint to a new folder and compare every sum; `moved` is told of bytes.

        Raises:
            CorruptCheckpointError: a file is missing or another one than was published.
            WorkersError: the storage cannot be read, or the folder not written.
            CancelledError: it is no longer wanted.
        """

        def told(size: int) -> None:
            if cancelled():
                raise CancelledError
            moved(size)

        with _told(f"{checkpoint.path} cannot be fetched"):
            folder.mkdir(parents=True)
            for name, expected in checkpoint.manifest.files.items():
                try:
                    source = self._open(f"{checkpoint.path}/{name}", "rb")
                except FileNotFoundError as error:
                    raise CorruptCheckpointError(f"{name} is missing") from error
                with source, (folder / name).open("xb") as target:
                    if copy_summed(source, target, told) != expected:
                        raise CorruptCheckpointError(f"{name} is not what was published")

    def _remove_older(self, changelog: str, partition: int, position: int) -> None:
        """Remove what nobody needs once a checkpoint of this position is there.

        What lies ahead of it is left alone: another worker may be writing it.
        """
        whole = 0
        for path in reversed(self._names(changelog, partition)):
            if _position_in(path) > position:
                continue
            whole += self._files.exists(f"{path}/{MANIFEST}")
            if whole > self._kept or not self._files.exists(f"{path}/{MANIFEST}"):
                self._files.rm(path, recursive=True)

    def _names(self, changelog: str, partition: int) -> list[str]:
        """Return the folders of a partition's checkpoints by position, half-written ones too."""
        try:
            found: list[str] = self._files.ls(self._place(changelog, partition), detail=False)
        except FileNotFoundError:
            return []
        folders = [path.rstrip("/") for path in found]
        return sorted(path for path in folders if _NAME.fullmatch(path.rpartition("/")[2]))

    def _manifest(self, path: str) -> CheckpointManifest | None:
        try:
            return CheckpointManifest.from_bytes(self._files.cat_file(f"{path}/{MANIFEST}"))
        except FileNotFoundError:
            _passed_over(path, "it is half-written")
        except CorruptCheckpointError as error:
            _passed_over(path, str(error))
        return None

    def _place(self, changelog: str, partition: int) -> str:
        return f"{self._root}/{_UNSAFE.sub('_', changelog)}/{partition}"

    def _open(self, path: str, mode: str) -> BinaryIO:
        return cast(BinaryIO, self._files.open(path, mode))


def _position_in(path: str) -> int:
    match = _NAME.fullmatch(path.rpartition("/")[2])
    return -1 if match is None else int(match[1])


def _passed_over(path: str, reason: str) -> None:
    log.warning("checkpoint passed over", checkpoint=path, reason=reason)


def _told(what: str) -> AbstractContextManager[None]:
    return storage_errors(what, StatsStoreError, CancelledError)
