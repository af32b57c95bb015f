"""Where the tail of a network gets its input from, photo by photo, changed a little each time.

What a photo is changed by depends on the seed, the epoch and the photo alone, not on the order of
calls: so a resumed run and several processes see what one uninterrupted run sees.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.errors import ModelsError, UnreadableImageError
from models.extractors.ahead import ahead
from models.extractors.extraction import read_photo
from models.extractors.protocol import DivisibleBackbone
from models.extractors.tasks.activations import ActivationStore
from models.images.decode import decode_image

_CROP_AREA = (0.6, 1.0)  # less cuts off what is for sale
_CROP_RATIO = (0.9, 1.1)  # of the square that the photo was squashed into

Indices = npt.NDArray[np.int64]
Draw = tuple[int, int]
"""Seed and epoch of the changes."""


class Samples(Protocol):
    """The input of P photos; `batch` may be called from several threads."""

    def batch(self, photos: Indices, draw: Draw | None) -> Tensor:
        """Return the input `[B, ...]` of photos, as they are without `draw`."""
        ...


class StoredActivations:
    """Activations of a frozen trunk; half of the photos are mirrored by a draw."""

    def __init__(self, store: ActivationStore, paths: Sequence[Path]) -> None:
        """Find the rows of photos that were filled in."""
        self._number = store.rows_of(paths)
        self._rows = store.open()

    def batch(self, photos: Indices, draw: Draw | None) -> Tensor:
        """Return activations float32 `[B, *shape]`."""
        mirrored = [int(_drawn(draw, photo).random() < 0.5) if draw else 0 for photo in photos]
        return torch.from_numpy(self._rows[self._number[photos], mirrored].astype(np.float32))


class PhotoFiles:
    """Photos decoded each time; a draw crops and mirrors them."""

    def __init__(self, backbone: DivisibleBackbone, paths: Sequence[Path]) -> None:
        """Keep the paths; nothing is opened yet."""
        self._backbone = backbone
        self._paths = paths
        self._threads = len(os.sched_getaffinity(0))

    def batch(self, photos: Indices, draw: Draw | None) -> Tensor:
        """Return pixels float32 `[B, 3, S, S]`.

        Raises:
            ModelsError: a photo cannot be read any more.
        """
        return torch.stack(
            list(
                ahead(
                    lambda photo: self._pixels(int(photo), draw),
                    photos,
                    threads=self._threads,
                    limit=len(photos),
                )
            )
        )

    def _pixels(self, photo: int, draw: Draw | None) -> Tensor:
        path = self._paths[photo]
        try:
            image = decode_image(read_photo(path))
        except UnreadableImageError as error:
            raise ModelsError(f"{path} cannot be read any more: {error}") from None
        pixels = torch.from_numpy(self._backbone.preprocess(image))
        return pixels if draw is None else _changed(pixels, _drawn(draw, photo))


def _drawn(draw: Draw, photo: int) -> np.random.Generator:
    return np.random.default_rng([*draw, photo])


def _changed(pixels: Tensor, drawn: np.random.Generator) -> Tensor:
    """Crop to a part of the square, stretched to the whole, and mirror every other photo."""
    # here, because torchvision takes seconds to import and stored activations need none of it
    from torchvision.transforms.v2 import functional as transform

    size = pixels.shape[-1]
    area, ratio = drawn.uniform(*_CROP_AREA), np.exp(drawn.uniform(*np.log(_CROP_RATIO)))
    height = min(size, round(size * np.sqrt(area / ratio)))
    width = min(size, round(size * np.sqrt(area * ratio)))
    top, left = drawn.integers(size - height + 1), drawn.integers(size - width + 1)
    changed: Tensor = transform.resized_crop(
        pixels, int(top), int(left), height, width, [size, size], antialias=True
    )
    return transform.horizontal_flip(changed) if drawn.random() < 0.5 else changed
