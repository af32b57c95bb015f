"""From an image of any size to the square input of a network."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from models.extractors.protocol import Pixels

_RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a network's weights expect their input.

    The whole photo is squashed into the square: a centre crop would cut off the ends of what is
    for sale in the many photos that are not square.

    Attributes:
        size: side of the input in pixels.
        mean: subtracted per channel (R, G, B), on the scale 0 to 255.
        std: divided by per channel afterwards, on the same scale.
        resample: filter of the resize that the weights were trained with.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resample: Literal["bilinear", "bicubic"]

    @property
    def fingerprint(self) -> str:
        """Differs whenever the pixels do."""
        return f"squash{self.size}-{self.resample}-{self.mean}-{self.std}".replace(" ", "")

    def __call__(self, image: Image.Image) -> Pixels:
        """Return float32 of shape [3, size, size] for an RGB image."""
        side = (self.size, self.size)
        # the gap lets Pillow shrink large images by whole steps first: the same to the eye
        resized = image.resize(side, _RESAMPLE[self.resample], reducing_gap=3.0)
        pixels = np.asarray(resized, dtype=np.float32)
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        return np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1))
