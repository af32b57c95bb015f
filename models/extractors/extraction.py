"""Features of many photos at once, for training."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.errors import UnreadableImageError
from models.extractors.ahead import ahead
from models.extractors.cache import FeatureCache
from models.extractors.looks import Look
from models.extractors.onnx_runtime import OnnxExtractor, export_onnx
from models.extractors.protocol import Backbone, Extractor, Features, Pixels
from models.images.decode import decode_image
from models.images.faults import Fault, judge
from models.images.limits import DEFAULT_LIMITS
from models.images.perceptual_hash import perceptual_hash
from schemas.suggestion import ReuploadReason

if TYPE_CHECKING:
    import torch

_BATCH = 32  # ONNX Runtime is as fast at 1 (48 to 53 images per second and core); a GPU wants more
_AHEAD = 2 * _BATCH  # photos decoded while the network is busy; 52 MB at 260 x 260


@dataclass(frozen=True)
class Extraction:
    """What was found in N photos, in the order they were given.

    Attributes:
        features: float32 [N, width]; zeros where the photo is unreadable.
        readable: bool [N].
        faults: of each photo, worst first; `unreadable` alone for one that is.
        problems: why photos are unreadable, by index.
        hashes: uint64 [N], perceptual (`models.images.perceptual_hash`); 0 where unreadable.
    """

    features: Features
    readable: NDArray[np.bool_]
    faults: list[tuple[Fault, ...]]
    problems: dict[int, str]
    hashes: NDArray[np.uint64]


def looks_of(found: Extraction) -> list[Look]:
    """Return what was found, photo by photo."""
    return [
        Look(found.features[photo] if legible else None, found.faults[photo], int(look))
        for photo, (legible, look) in enumerate(zip(found.readable, found.hashes, strict=True))
    ]


@dataclass(frozen=True)
class _Photo:
    index: int
    digest: str = ""
    faults: tuple[Fault, ...] = (Fault(ReuploadReason.UNREADABLE, 1.0),)
    features: Features | None = None
    pixels: Pixels | None = None
    problem: str | None = None
    hash: int = 0


def extract(
    paths: Sequence[Path],
    backbone: Backbone,
    *,
    extractor: Extractor | None = None,
    cache: FeatureCache | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Extraction:
    """Decode, judge and extract photos; decoding goes on while the network runs.

    Args:
        paths: files of the photos. An unreadable one is reported, not fatal.
        backbone: names and prepares; it is built only if a photo is not in the cache.
        extractor: the backbone in a runtime, where the caller has one already; full precision,
            if its features go into a cache.
        cache: features that need not be computed again.
        threads: cores to use; all that this process may use by default.
        progress: called with photos done and photos in all, now and then, from this thread.

    Raises:
        WeightsMissingError: the backbone cannot be built.
        ModelsError: the cache cannot be written.
    """
    threads = threads or len(os.sched_getaffinity(0))
    fingerprint = backbone.fingerprint if cache else ""
    found = Extraction(
        np.zeros((len(paths), backbone.width), np.float32),
        np.zeros(len(paths), np.bool_),
        [()] * len(paths),
        {},
        np.zeros(len(paths), np.uint64),
    )

    def prepare(numbered: tuple[int, Path]) -> _Photo:
        index, path = numbered
        try:
            data = read_photo(path)
            image = decode_image(data)
        except UnreadableImageError as error:
            return _Photo(index, problem=str(error))
        digest = hashlib.sha256(data).hexdigest()
        features = cache.get(fingerprint, digest) if cache else None
        pixels = backbone.preprocess(image) if features is None else None
        look = perceptual_hash(image)
        return _Photo(index, digest, judge(image), features, pixels, hash=look)

    waiting: list[_Photo] = []
    done = 0

    def run_network() -> None:
        nonlocal extractor, done
        if extractor is None:
            extractor = open_extractor(backbone.build(), backbone.input_size, threads)
        pixels = np.stack([photo.pixels for photo in waiting if photo.pixels is not None])
        for photo, features in zip(waiting, extractor.features(pixels), strict=True):
            found.features[photo.index] = features
            if cache:
                cache.put(fingerprint, photo.digest, features)
        done += len(waiting)
        waiting.clear()
        if progress:
            progress(done, len(paths))

    for photo in ahead(prepare, enumerate(paths), threads=threads, limit=_AHEAD):
        found.faults[photo.index] = photo.faults
        found.readable[photo.index] = photo.problem is None
        found.hashes[photo.index] = photo.hash
        if photo.pixels is not None:
            waiting.append(photo)
            if len(waiting) == _BATCH:
                run_network()
            continue
        if photo.problem is not None:
            found.problems[photo.index] = photo.problem
        elif photo.features is not None:
            found.features[photo.index] = photo.features
        done += 1
        if progress and done % _BATCH == 0:
            progress(done, len(paths))
    if waiting:
        run_network()
    if progress:
        progress(len(paths), len(paths))
    return found


def open_extractor(module: "torch.nn.Module", size: int, threads: int) -> Extractor:
    """Load a network into the fastest runtime here: the GPU if there is one, else ONNX Runtime.

    Both compute in full precision, so that features from either may be mixed.

    Args:
        module: maps [N, 3, size, size] to [N, width], in eval mode, on the CPU.
        size: side of the input in pixels.
        threads: cores to use.
    """
    import torch

    from models.extractors.torch_runtime import TorchExtractor

    if torch.cuda.is_available():
        return TorchExtractor(module, device="cuda")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        export_onnx(module, size, path)
        return OnnxExtractor(path, threads)


def read_photo(path: Path) -> bytes:
    """Read a file, of a very long one no more than shows that it is too long.

    Raises:
        UnreadableImageError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(DEFAULT_LIMITS.max_bytes + 1)  # one more shows that it is too long
    except OSError as error:
        raise UnreadableImageError(f"{path.name} cannot be read: {error.strerror}") from None
