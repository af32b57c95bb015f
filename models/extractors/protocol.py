"""What the rest of the system knows of a pretrained network and of the runtime that runs it."""

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    import torch

    from models.extractors.preprocessing import Preprocessing

Pixels = NDArray[np.float32]
"""Preprocessed photos, shape [N, 3, S, S] or [3, S, S], normalised as the network expects."""

Squashed = NDArray[np.uint8]
"""Photos at the size of the network's input, shape [N, S, S, 3] or [S, S, 3], R, G and B."""

Features = NDArray[np.float32]
"""Pooled activations of the last convolution, shape [N, width]."""


class Backbone(Protocol):
    """A pretrained image network without its classifier, and the preprocessing it needs.

    Only `build` imports torch, so a process that serves an exported network stays light.
    """

    @property
    def name(self) -> str:
        """Short name as in a configuration, `lite2` for instance."""
        ...

    @property
    def width(self) -> int:
        """Number of features of a photo."""
        ...

    @property
    def input_size(self) -> int:
        """Side S of the square input, in pixels."""
        ...

    @property
    def fingerprint(self) -> str:
        """Names weights and preprocessing: equal fingerprints give equal features.

        Raises:
            WeightsMissingError: the weights are not on this machine.
        """
        ...

    @property
    def preprocessing(self) -> "Preprocessing":
        """What `preprocess` does, in numbers: it travels with the weights in a bundle."""
        ...

    def preprocess(self, image: Image.Image) -> Pixels:
        """Turn an upright RGB image of any size into float32 of shape [3, S, S]."""
        ...

    def build(self) -> "torch.nn.Module":
        """Return the network in eval mode on the CPU, mapping [N, 3, S, S] to [N, width].

        Raises:
            WeightsMissingError: the weights are not on this machine. Nothing is downloaded.
        """
        ...


class DivisibleBackbone(Backbone, Protocol):
    """A backbone whose last stage can be tuned on its own."""

    def split(self) -> "tuple[torch.nn.Module, torch.nn.Module]":
        """Return the network of `build` in two parts, to be applied one after the other.

        The first maps [N, 3, S, S] to activations [N, C, H, W], the second, the last stage, those
        to features [N, width].

        Raises:
            WeightsMissingError: the weights are not on this machine. Nothing is downloaded.
        """
        ...


class Extractor(Protocol):
    """A backbone loaded into a runtime. `features` may be called from several threads."""

    def features(self, pixels: Pixels) -> Features:
        """Map preprocessed photos [N, 3, S, S] to features [N, width]; N may be 0."""
        ...
