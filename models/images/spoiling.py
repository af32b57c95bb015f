"""Known ways to spoil a sound photo, from which the thresholds of the faults are set.

All are stated relative to the photo, so that a thumbnail of 240 pixels and a photo of a phone are
spoiled alike. Every way is bad enough that a person would ask for another photo.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageFilter

from schemas.suggestion import ReuploadReason

Spoil = Callable[[Image.Image, np.random.Generator], Image.Image]


@dataclass(frozen=True)
class Spoiling:
    """A way to spoil an RGB photo, and the reason that it has to be sent back for."""

    reason: ReuploadReason
    spoil: Spoil


def defocus(photo: Image.Image, share: float) -> Image.Image:
    """Blur with a Gaussian whose radius is a share of the shorter side."""
    return photo.filter(ImageFilter.GaussianBlur(share * min(photo.size)))


def shake(photo: Image.Image, share: float, degrees: float) -> Image.Image:
    """Move the camera along a straight line while the shutter is open.

    The line has a share of the shorter side as its length; at 0 degrees it is level.
    """
    length = max(2, round(share * min(photo.size)))
    edges = ((length, length), (length, length), (0, 0))
    pixels = np.pad(np.asarray(photo, np.uint32), edges, mode="edge")
    total = np.zeros((photo.height, photo.width, 3), np.uint32)
    for way in np.arange(length) - (length - 1) // 2:
        down, right = (length + round(way * _sin(turned)) for turned in (degrees, degrees + 90))
        total += pixels[down : down + photo.height, right : right + photo.width]
    return Image.fromarray((total / length).astype(np.uint8))


def _sin(degrees: float) -> float:
    return float(np.sin(np.radians(degrees)))


def expose(photo: Image.Image, gain: float, lift: float = 0.0) -> Image.Image:
    """Multiply every level and add to it; what is brighter than white is white."""
    levels = (np.arange(256) * gain + lift).clip(0, 255).astype(int).tolist()
    return photo.point(levels * 3)


def add_noise(photo: Image.Image, sigma: float, rng: np.random.Generator) -> Image.Image:
    """Add normal noise of `sigma` levels."""
    noise = rng.standard_normal((photo.height, photo.width, 3), np.float32)
    return Image.fromarray((np.asarray(photo) + sigma * noise).clip(0, 255).astype(np.uint8))


def shrink(photo: Image.Image, factor: float) -> Image.Image:
    """Scale both sides, to 8 pixels at the least."""
    width, height = (max(8, round(side * factor)) for side in photo.size)
    return photo.resize((width, height))


def save(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Send the photo through a JPEG of a quality between 58 and 93, as shops and phones do."""
    buffer = BytesIO()
    photo.save(buffer, "JPEG", quality=int(rng.integers(58, 94)))
    with Image.open(buffer) as image:
        return image.convert("RGB")


_BLURRED, _DARK = ReuploadReason.BLURRED, ReuploadReason.TOO_DARK
_BRIGHT, _SMALL = ReuploadReason.TOO_BRIGHT, ReuploadReason.LOW_RESOLUTION

SPOILINGS: Mapping[str, Spoiling] = {
    "out of focus, radius 4 % of the shorter side": Spoiling(
        _BLURRED, lambda photo, _: defocus(photo, 0.04)
    ),
    "the same, with noise of 6 levels": Spoiling(
        _BLURRED, lambda photo, rng: add_noise(defocus(photo, 0.04), 6, rng)
    ),
    "out of focus, radius 2 to 3.5 %, noise of 1 to 5": Spoiling(
        _BLURRED,
        lambda photo, rng: add_noise(
            defocus(photo, rng.uniform(0.02, 0.035)), rng.uniform(1, 5), rng
        ),
    ),
    "moved sideways by 10 % of the shorter side": Spoiling(
        _BLURRED, lambda photo, _: shake(photo, 0.1, 0)
    ),
    "moved upwards by 10 %": Spoiling(_BLURRED, lambda photo, _: shake(photo, 0.1, 90)),
    "moved by 10 % in any direction": Spoiling(
        _BLURRED, lambda photo, rng: shake(photo, 0.1, rng.uniform(0, 180))
    ),
    "brightness x 0.08": Spoiling(_DARK, lambda photo, _: expose(photo, 0.08)),
    "brightness x 0.035 to 0.085, noise of 5": Spoiling(
        _DARK, lambda photo, rng: add_noise(expose(photo, rng.uniform(0.035, 0.085)), 5, rng)
    ),
    "brightness x 20": Spoiling(_BRIGHT, lambda photo, _: expose(photo, 20)),
    "contrast x 0.08 towards white": Spoiling(
        _BRIGHT, lambda photo, _: expose(photo, 0.08, 0.92 * 255)
    ),
    "brightness x 2 to 2.8 and 145 to 175 more": Spoiling(
        _BRIGHT,
        lambda photo, rng: add_noise(
            expose(photo, rng.uniform(2, 2.8), rng.uniform(145, 175)), rng.uniform(1, 5), rng
        ),
    ),
    "a thumbnail of 32 pixels": Spoiling(
        _SMALL, lambda photo, _: shrink(photo, 32 / max(photo.size))
    ),
    "a thumbnail of 36 to 66 pixels": Spoiling(
        _SMALL, lambda photo, rng: shrink(photo, int(rng.integers(36, 67)) / max(photo.size))
    ),
}
