"""The extractors of a bundle as one network: their features side by side."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image

from models.bundle.folder import Bundle
from models.errors import BundleError
from models.extractors.onnx_runtime import OnnxExtractor
from models.extractors.protocol import Features, Pixels, Squashed

if TYPE_CHECKING:
    import torch

    from models.extractors.device_runtime import DeviceExtractor

_Given = TypeVar("_Given", Pixels, Squashed)

# Photos in one pass of one core: their activations stay in its cache. Each core has photos of its
# own; where all cores share the work of a photo, they wait for the slowest after every layer: 13 ms
# a photo of lite2 on two idle cores instead of 15, and far more where decoders run on them, too.
_AT_ONCE = 2


class BundledImages:
    """Backbone and extractor in one, from the files of a bundle, on the CPU without torch.

    Attributes:
        name: names of the networks, joined by `+`.
        width: features of a photo, of all networks together.
        input_size: side of the input in pixels.
        preprocessing: from a photo to the input.
        fingerprint: names weights and preprocessing of all networks.
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        """Load the networks of a bundle that was checked.

        Raises:
            BundleError: a file is not the network that the manifest speaks of.
        """
        networks = bundle.manifest.image_networks
        self.name = "+".join(network.name for network in networks)
        self.width = sum(network.width for network in networks)
        self.input_size = bundle.manifest.preprocessing.size
        self.fingerprint = "+".join(network.fingerprint for network in networks)
        self.preprocessing = bundle.manifest.preprocessing
        self._files = [bundle.folder / network.file for network in networks]
        self._extractors = [OnnxExtractor(file, threads=1) for file in self._files]
        self._cores = ThreadPoolExecutor(
            threads or len(os.sched_getaffinity(0)), thread_name_prefix="images"
        )
        for network, extractor in zip(networks, self._extractors, strict=True):
            if extractor.width != network.width:
                raise BundleError(
                    f"{bundle.folder / network.file} gives {extractor.width} features, "
                    f"not {network.width}"
                )

    def preprocess(self, image: Image.Image) -> Pixels:
        """Turn an upright RGB image of any size into float32 of shape [3, S, S]."""
        return self.preprocessing(image)

    def features(self, pixels: Pixels) -> Features:
        """Map preprocessed photos [N, 3, S, S] to features [N, width]; N may be 0."""
        return self._in_parts(pixels, self._of_part)

    def of_photos(self, photos: Squashed) -> Features:
        """Map photos [N, S, S, 3] as they were decoded to features [N, width]; N may be 0."""
        return self._in_parts(
            photos, lambda part: self._of_part(self.preprocessing.normalise(part))
        )

    def _in_parts(self, given: _Given, of_part: Callable[[_Given], Features]) -> Features:
        starts = range(0, max(1, len(given)), _AT_ONCE)
        parts = [given[start : start + _AT_ONCE] for start in starts]
        return np.concatenate(list(self._cores.map(of_part, parts)))

    def _of_part(self, pixels: Pixels) -> Features:
        return np.concatenate([each.features(pixels) for each in self._extractors], axis=1)

    def on_device(self, device: str) -> "DeviceExtractor":
        """Load the networks into the runtime of GPUs too, and compare their features there.

        Args:
            device: from `models.extractors.devices.choose_device`.

        Raises:
            BundleError: the device cannot run them, or computes something else.
        """
        from models.extractors.device_runtime import DeviceExtractor, check_features

        extractor = DeviceExtractor(self._files, self.preprocessing, device=device)
        check_features(extractor, self, self.preprocessing)
        return extractor

    def build(self) -> "torch.nn.Module":
        """Refuse: a bundle has its networks as they are served, not as they are trained.

        Raises:
            BundleError: always.
        """
        raise BundleError("the networks of a bundle are for serving only")
