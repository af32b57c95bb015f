"""The serving runtime of a GPU: photos in, features of all extractors out, in one pass (3.2).

The copy of the next part of a batch to the device overlaps the pass of this one:

    caller          part 2 into pinned memory     part 3 ...
    copying stream  part 1 up      part 2 up
    computing stream               part 1: graph, features down    part 2: ...

The same lines run on the CPU, where torch's streams and events do nothing, and the function that
a graph would replay is called: for tests, not for serving.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.errors import BundleError, ModelsError
from models.extractors.buckets import bucket_of, bucket_sizes
from models.extractors.graphs import capture
from models.extractors.onnx_network import OnnxNetwork
from models.extractors.preprocessing import Preprocessing
from models.extractors.protocol import Extractor, Features, Squashed

MAX_BATCH = 64  # the last stage of ResNet-50 is then 400 tiles of 128 x 128; an H100 runs 132
_SIZES = bucket_sizes(MAX_BATCH)
# Of the length of a photo's features. In bfloat16, with its 8 bits, those of lite2 are off by up to
# 0.05, those of ResNet-50 by 0.002; a GPU may multiply float32 with 10 bits.
_TOLERANCE = {torch.float32: 1e-2, torch.bfloat16: 1e-1}


class _Slot:
    """Memory for one part of a batch on its way to the device and for its features' way back."""

    def __init__(self, size: int, width: int, device: torch.device) -> None:
        pinned = device.type == "cuda"  # else a copy would hold up the caller
        shape = (MAX_BATCH, size, size, 3)
        events = torch.get_device_module(device)
        self.given = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
        self.pixels = torch.empty(shape, dtype=torch.uint8, device=device)
        self.features = torch.empty(MAX_BATCH, width, pin_memory=pinned)
        self.copied = events.Event()
        self.done = events.Event()


class DeviceExtractor:
    """Exported networks on one device. Threads that call it take turns.

    Memory on the device, of N = 64 photos, in bfloat16:
        weights: 2 bytes each: 47 MB for a ResNet-50, 10 MB for lite2.
        activations: those alive at once in the largest bucket, of one network, in a pool that all
            buckets share: 330 MB for ResNet-50, 440 MB for lite2; and what cuDNN works in.
        pixels: three buffers of N x S x S x 3 bytes (29 MB at 224, 39 MB at 260), and two of the
            size in pinned memory of the host.
        features: N x width x 4 bytes (2 MB at 4 x 2048).
    A swap of models holds the old and the new one for a while.

    Attributes:
        width: features of a photo, of all networks together.
        device: as it was given.
        precision: of the convolutions.
    """

    def __init__(
        self,
        networks: Sequence[Path],
        preprocessing: Preprocessing,
        *,
        device: str,
        precision: torch.dtype | None = None,
    ) -> None:
        """Load the networks and record a graph for every bucket.

        Args:
            networks: files written by `models.extractors.onnx_runtime.export_onnx`.
            preprocessing: what all of them expect.
            device: `cuda:N`, or `cpu`.
            precision: by default bfloat16 where the GPU multiplies it (from compute capability
                8.0 on), else float32.

        Raises:
            BundleError: a file is not such a network, or the device cannot run it, for one
                because it has too little memory.
        """
        self.device = device
        self._device = torch.device(device)
        self.precision = precision or _precision(self._device)
        self._size = preprocessing.size
        self._turn = threading.Lock()
        try:
            # on the CPU the index is None, and nothing is selected
            with torch.accelerator.device_index(self._device.index):
                self._load(networks, preprocessing)
        except (RuntimeError, KeyError, TypeError) as error:
            raise BundleError(f"{device} cannot run the image networks: {error}") from error

    def _load(self, networks: Sequence[Path], preprocessing: Preprocessing) -> None:
        device = self._device
        self._networks = [OnnxNetwork(path, device, self.precision) for path in networks]
        self._mean, self._std = (
            torch.tensor(values, dtype=torch.float32, device=device).reshape(3, 1, 1)
            for values in (preprocessing.mean, preprocessing.std)
        )
        shape = (MAX_BATCH, self._size, self._size, 3)
        self._pixels = torch.zeros(shape, dtype=torch.uint8, device=device)
        with torch.inference_mode():
            self.width = self._forward(self._pixels[:1]).shape[1]
        self._features = torch.zeros(MAX_BATCH, self.width, device=device)
        self._slots = [_Slot(self._size, self.width, device) for _ in range(2)]
        streams = torch.get_device_module(device)
        self._copying, self._computing = streams.Stream(), streams.Stream()
        self._on = streams.stream
        self._runs: dict[int, Callable[[], None]] = (
            capture(self._run, _SIZES, self._computing)
            if device.type == "cuda"
            else {size: partial(self._run, size) for size in _SIZES}
        )

    def features(self, photos: Squashed) -> Features:
        """Map photos [N, S, S, 3] as they were decoded to features [N, width]; N may be 0.

        Raises:
            ValueError: the shape is another one.
            ModelsError: the device failed; the process had better be started anew.
        """
        if photos.shape[1:] != (self._size, self._size, 3):
            raise ValueError(f"expected [N, {self._size}, {self._size}, 3], got {photos.shape}")
        found = np.empty((len(photos), self.width), np.float32)
        starts = range(0, len(photos), MAX_BATCH)
        parts = [slice(start, min(start + MAX_BATCH, len(photos))) for start in starts]
        begun: list[tuple[_Slot, slice]] = []
        try:
            with self._turn:
                for slot, part in zip(cycle(self._slots), parts):
                    self._begin(slot, photos[part])
                    begun.append((slot, part))
                    if len(begun) == len(self._slots):
                        _finish(*begun.pop(0), found)
                for slot, part in begun:
                    _finish(slot, part, found)
        except RuntimeError as error:
            raise ModelsError(f"{self._device} failed: {error}") from error
        return found

    def _begin(self, slot: _Slot, photos: Squashed) -> None:
        """Start a part on its way; it is not waited for."""
        count = len(photos)
        slot.given.numpy()[:count] = photos
        with self._on(self._copying):
            slot.pixels[:count].copy_(slot.given[:count], non_blocking=True)
            slot.copied.record()
        with self._on(self._computing):
            slot.copied.wait()
            # rows above are photos of an earlier part: no row of a network sees another
            self._pixels[:count].copy_(slot.pixels[:count])
            self._runs[bucket_of(count, _SIZES)]()
            slot.features[:count].copy_(self._features[:count], non_blocking=True)
            slot.done.record()

    def _run(self, size: int) -> None:
        with torch.inference_mode():
            self._features[:size].copy_(self._forward(self._pixels[:size]))

    def _forward(self, photos: Tensor) -> Tensor:
        """Normalise on the device, then run the networks one after the other (Fig. 4)."""
        # uint8 is a quarter of the bytes of normalised pixels, and as a view it is channels last,
        # the layout of the weights: nothing is moved
        pixels = photos.permute(0, 3, 1, 2).float()
        batch = ((pixels - self._mean) / self._std).to(self.precision)
        return torch.cat([network(batch) for network in self._networks], dim=1)


def _finish(slot: _Slot, part: slice, found: Features) -> None:
    """Wait for the features of a part and write them down."""
    slot.done.synchronize()
    found[part] = slot.features[: part.stop - part.start].numpy()


def check_features(
    extractor: DeviceExtractor, reference: Extractor, preprocessing: Preprocessing
) -> None:
    """Compare the features of every bucket with those that ONNX Runtime gives on the CPU.

    Drivers and libraries differ from machine to machine, and a wrong price is worse than none.

    Raises:
        BundleError: they are others.
    """
    size = preprocessing.size
    coarse = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    probe = coarse.repeat(-(-size // 8), 1).repeat(-(-size // 8), 2)[:, :size, :size]
    expected = reference.features(preprocessing.normalise(probe))
    for count in _SIZES:
        drawn = np.arange(count) % len(probe)
        off = np.linalg.norm(extractor.features(probe[drawn]) - expected[drawn], axis=1)
        error = (off / np.maximum(np.linalg.norm(expected[drawn], axis=1), 1e-12)).max()
        if not error <= _TOLERANCE[extractor.precision]:
            raise BundleError(
                f"the features that {extractor.device} computes of {count} photos differ by "
                f"{error:.1%} from those that ONNX Runtime computes on the CPU: prices would be "
                "wrong, so this device with its driver is not used"
            )


def _precision(device: torch.device) -> torch.dtype:
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
        return torch.bfloat16
    return torch.float32
