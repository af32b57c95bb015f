"""The camera: light, grain and compression, and what goes wrong with some photos."""

from enum import StrEnum
from io import BytesIO

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from simulator.photos.textures import cut, grain


class PhotoFault(StrEnum):
    """Why a photo does not serve; the first four are named as in the re-upload reasons."""

    BLURRED = "blurred"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    LOW_RESOLUTION = "low_resolution"
    NOT_SHOWN = "not_shown"


def expose(scene: Image.Image, fault: PhotoFault | None, rng: np.random.Generator) -> bytes:
    """Return the scene as a JPEG; `fault` spoils it beyond use."""
    image = _slanting_light(scene, rng)
    gain = rng.uniform(0.96, 1.22)
    warmth = rng.normal(0.01, 0.03)
    lift = 0.0
    noise = rng.uniform(0.05, 0.22)
    if fault is PhotoFault.TOO_DARK:
        gain, noise = rng.uniform(0.035, 0.085), 0.22
    elif fault is PhotoFault.TOO_BRIGHT:
        gain, lift = rng.uniform(2.0, 2.8), rng.uniform(145, 175)
    ramp = np.arange(256)
    channels = np.array([1 + warmth, 1, 1 - warmth])[:, None]
    image = image.point((ramp * gain * channels + lift).clip(0, 255).astype(int).ravel().tolist())
    if fault is PhotoFault.BLURRED:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(11, 17))))
    elif rng.random() < 0.3:
        image = image.filter(ImageFilter.BoxBlur(float(rng.uniform(0.2, 0.7))))
    weaker = np.rint(128 + (ramp - 128) * noise).astype(int).tolist()
    speckle = cut(grain(), rng, image.size).point(weaker * 3)
    image = ImageChops.add(image, speckle, 1, -128)
    if fault is PhotoFault.LOW_RESOLUTION:
        width = int(rng.integers(36, 67))
        image = image.resize((width, max(1, image.height * width // image.width)))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(58, 94)))
    return buffer.getvalue()


def _slanting_light(scene: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Let the light fall off to one side, as it does beside a window."""
    darkest = rng.uniform(0.74, 0.98)
    across, down = rng.uniform(-1, 1, 2)
    x = np.linspace(-1, 1, 32)[None, :] * across
    y = np.linspace(-1, 1, 24)[:, None] * down
    fall = (x + y) / (abs(across) + abs(down)) * 0.5 + 0.5
    light = Image.fromarray((255 * (darkest + (1 - darkest) * fall)).astype(np.uint8))
    light = light.resize(scene.size, Image.Resampling.BILINEAR)
    return ImageChops.multiply(scene, Image.merge("RGB", (light, light, light)))
