from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

Encode = Callable[..., bytes]
Render = Callable[..., Image.Image]


@pytest.fixture(scope="session")
def encode() -> Encode:
    def to_bytes(image: Image.Image, kind: str, **options: Any) -> bytes:
        buffer = BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return to_bytes


@pytest.fixture(scope="session")
def render() -> Render:
    """A room-like photo: ground with a gradient, textured cloth, a few things with hard edges."""

    def photo(width: int = 640, height: int = 480, seed: int = 0) -> Image.Image:
        rng = np.random.default_rng(seed)
        slope = np.linspace(90, 190, width)[None, :, None] * np.ones((height, 1, 3))
        image = Image.fromarray(slope.astype(np.uint8))
        draw = ImageDraw.Draw(image)
        for _ in range(24):
            x, y = rng.uniform(0, 0.85, 2) * (width, height)
            w, h = rng.uniform(0.05, 0.25, 2) * (width, height)
            colour = tuple(int(c) for c in rng.integers(15, 245, 3))
            shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
            shape((x, y, x + w, y + h), fill=colour)
        return image

    return photo
