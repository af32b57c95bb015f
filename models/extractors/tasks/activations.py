"""What the frozen trunk says of each photo and of its mirror image, kept on disk."""

import fcntl
import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.errors import ModelsError, UnreadableImageError
from models.extractors.ahead import ahead
from models.extractors.extraction import open_extractor, read_photo
from models.extractors.protocol import DivisibleBackbone, Pixels
from models.extractors.tasks.network import Depth, split
from models.images.decode import decode_image

_BATCH = 16  # photos; with their mirror images 32 inputs
_ENTRY = np.dtype([("digest", "V32"), ("checksum", "<u4")])  # of the index, one a photo


class ActivationStore:
    """Activations of a trunk, computed once a photo whatever the tasks and the epochs.

    Two files: rows of float16 `[2, *shape]` (the photo, its mirror image), and an index of the
    photos' SHA-256 with a checksum of the row. A row counts once its entry is there, so a killed
    process loses only the photo it was at; it grows without bound and may be deleted at any time.
    One process writes at a time, the others wait.

    float16 has 11 bits and ends at 65,504, a thousand times what such networks give.
    """

    def __init__(self, folder: Path, backbone: DivisibleBackbone, depth: Depth) -> None:
        """Name the files by the trunk; nothing is opened yet.

        Raises:
            WeightsMissingError: the weights are not on this machine.
        """
        self._backbone = backbone
        self._depth = depth
        name = hashlib.sha256(f"{backbone.fingerprint}-{depth}".encode()).hexdigest()[:16]
        self._rows = folder / f"{name}.f16"
        self._index = folder / f"{name}.index"
        trunk, _ = split(backbone, depth)
        size = backbone.input_size
        with torch.inference_mode():
            self.shape = tuple(trunk(torch.zeros(1, 3, size, size)).shape[1:])
        self._row_bytes = 2 * 2 * int(np.prod(self.shape))

    def fill(
        self,
        paths: Sequence[Path],
        *,
        progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
    ) -> None:
        """Compute what is not there yet.

        Raises:
            ModelsError: the files cannot be written, or a photo cannot be read any more.
        """
        threads = len(os.sched_getaffinity(0))
        with self._locked():
            found = self._sound_rows()
            wanted = {digest: path for path in paths if (digest := _digest(path)) not in found}
            done = len(paths) - len(wanted)
            progress(done, len(paths))
            if not wanted:
                return
            trunk, _ = split(self._backbone, self._depth)
            module = torch.nn.Sequential(trunk, torch.nn.Flatten()).eval()
            extractor = open_extractor(module, self._backbone.input_size, threads)
            waiting: list[tuple[bytes, Pixels]] = []

            def run_trunk() -> None:
                pixels = np.concatenate([both for _, both in waiting])
                values = extractor.features(pixels).reshape(len(waiting), -1)
                limit = np.finfo(np.float16).max
                self._append(
                    [digest for digest, _ in waiting],
                    np.clip(values, -limit, limit).astype("<f2"),
                )
                waiting.clear()

            for item in ahead(self._prepare, wanted.items(), threads=threads, limit=2 * _BATCH):
                waiting.append(item)
                if len(waiting) == _BATCH:
                    run_trunk()
                done += 1
                progress(done, len(paths))
            if waiting:
                run_trunk()

    def rows_of(self, paths: Sequence[Path]) -> npt.NDArray[np.int64]:
        """Return the number of the row of each photo.

        Raises:
            ModelsError: one was not filled in.
        """
        found = self._entries()
        index = {entry.tobytes(): row for row, entry in enumerate(found["digest"])}
        try:
            return np.array([index[_digest(path)] for path in paths], np.int64)
        except KeyError:
            raise ModelsError(
                f"{self._index} lacks photos of the training: they changed while it ran"
            ) from None

    def open(self) -> "np.memmap[tuple[int, ...], np.dtype[np.float16]]":
        """Return the rows `[R, 2, *shape]`, mapped into memory."""
        count = len(self._entries())
        return np.memmap(self._rows, "<f2", "r", shape=(count, 2, *self.shape))

    def _prepare(self, wanted: tuple[bytes, Path]) -> tuple[bytes, Pixels]:
        digest, path = wanted
        try:
            pixels = self._backbone.preprocess(decode_image(read_photo(path)))
        except UnreadableImageError as error:
            raise ModelsError(f"{path} cannot be read any more: {error}") from None
        return digest, np.stack([pixels, pixels[:, :, ::-1]])

    def _entries(self) -> npt.NDArray[np.void]:
        try:
            content = self._index.read_bytes()
        except FileNotFoundError:
            content = b""
        whole = len(content) // _ENTRY.itemsize * _ENTRY.itemsize
        return np.frombuffer(content[:whole], _ENTRY)

    def _sound_rows(self) -> set[bytes]:
        """Return the digests of the photos that are there; cut off what is not whole or damaged.

        From the first damaged row on all is cut off: rows are found by their number.
        """
        entries = self._entries()
        count = 0
        with self._writing(), self._rows.open("a+b") as rows:
            rows.seek(0)
            for entry in entries:
                content = rows.read(self._row_bytes)
                if len(content) < self._row_bytes or zlib.crc32(content) != entry["checksum"]:
                    break
                count += 1
            rows.truncate(count * self._row_bytes)
            os.truncate(self._index, count * _ENTRY.itemsize)
        return {entry.tobytes() for entry in entries["digest"][:count]}

    def _append(self, digests: Sequence[bytes], values: npt.NDArray[np.float16]) -> None:
        entries = np.empty(len(digests), _ENTRY)
        for entry, digest, row in zip(entries, digests, values, strict=True):
            entry["digest"] = np.void(digest)
            entry["checksum"] = zlib.crc32(row.tobytes())
        for path, content in ((self._rows, values.tobytes()), (self._index, entries.tobytes())):
            with self._writing(), path.open("ab") as file:
                file.write(content)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._writing():
            self._index.parent.mkdir(parents=True, exist_ok=True)
            file = self._index.open("ab")
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ModelsError(
                f"the activations at {self._index.parent} cannot be written: {error.strerror}"
            ) from None


def _digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(read_photo(path)).digest()
    except UnreadableImageError as error:
        raise ModelsError(f"{path} cannot be read any more: {error}") from None
