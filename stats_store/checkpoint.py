"""A checkpoint: a store's files as of one moment, and the manifest that vouches for them."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

from stats_store.backend.rocksdb import RocksDBBackend
from stats_store.changelog import CHANGELOG_POSITION_KEY
from stats_store.errors import CorruptCheckpointError
from stats_store.identity import read_local_number
from stats_store.store import PartitionStore

MANIFEST = "manifest.json"
_VERSION = 1
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileSum:
    """Size and SHA-256, in hexadecimal digits, of a file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CheckpointManifest:
    """What a checkpoint is of, and the sums of its files.

    Attributes:
        changelog: which changelog the position is in; two changelogs never share this name.
        partition: of that changelog.
        position: offset to read next in it.
        made_at: time in UTC, for people.
        files: by name; no name holds a folder.
    """

    changelog: str
    partition: int
    position: int
    made_at: str
    files: Mapping[str, FileSum]

    @property
    def size(self) -> int:
        """Size of all files together."""
        return sum(each.size for each in self.files.values())

    def to_bytes(self) -> bytes:
        """Return the manifest as JSON, with its own sum."""
        content = {"version": _VERSION, **asdict(self)}
        return json.dumps(content | {"sha256": _sum_of(content)}, indent=1).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` returned.

        Raises:
            CorruptCheckpointError: it is something else, cut short or damaged.
        """
        try:
            content: dict[str, Any] = json.loads(data)
            told = content.pop("sha256")
            if told != _sum_of(content) or content.pop("version") != _VERSION:
                raise ValueError("its sum or version is another")
            files = {name: FileSum(**each) for name, each in content.pop("files").items()}
            if any(name in ("", "..") or Path(name).name != name for name in files):
                raise ValueError("a file lies elsewhere")
            return cls(files=files, **content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptCheckpointError(f"{MANIFEST} is damaged: {error}") from error


def take_checkpoint(store: PartitionStore, folder: Path) -> int:
    """Copy a store, which may be in use by another thread, to a new folder.

    Returns the position in the changelog that the copy is at.

    Raises:
        StoreClosedError: the store is closed.
        StoreUnusableError: the copy cannot be written or read.
    """
    store.copy_to(folder)
    return position_of(folder)


def position_of(folder: Path) -> int:
    """Return the position in the changelog of a copy that nobody has open.

    Raises:
        StoreUnusableError: it is damaged or no store.
    """
    stored = RocksDBBackend.peek(folder, CHANGELOG_POSITION_KEY)
    return 0 if stored is None else read_local_number(stored)


def copy_summed(source: BinaryIO, target: BinaryIO, moved: Callable[[int], None]) -> FileSum:
    """Copy a file and return its sum; `moved` is told of every piece how many bytes it had."""
    digest, size = hashlib.sha256(), 0
    for piece in _pieces(source):
        target.write(piece)
        digest.update(piece)
        size += len(piece)
        moved(len(piece))
    return FileSum(size, digest.hexdigest())


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    while piece := source.read(_CHUNK_BYTES):
        yield piece


def _sum_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
