"""What use leaves on a thing: scratches, stains, worn edges and tears, by its condition."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from simulator.photos.pen import CANVAS
from simulator.photos.textures import cut, patches


class _Wear(NamedTuple):
    scratches: int
    stains: int
    edge: int  # opacity of the worn rim, 0 to 255
    tears: int


_WEAR = {
    "as new": _Wear(0, 0, 0, 0),
    "good": _Wear(3, 0, 0, 0),
    "worn": _Wear(10, 3, 120, 0),
    "damaged": _Wear(20, 6, 200, 3),
}
_STAIN = (84, 62, 30)
_RUBBED = (206, 198, 184)


def wear_down(
    image: Image.Image, solid: Image.Image, condition: str, rng: np.random.Generator
) -> Image.Image:
    """Return the thing with the marks of its condition; `solid` ("L") is where the thing is."""
    wear = _WEAR[condition]
    if not any(wear):
        return image
    small = solid.reduce(4)
    inside = np.argwhere(np.asarray(small.filter(ImageFilter.MinFilter(5))) > 200)
    if not len(inside):
        inside = np.argwhere(np.asarray(small) > 200)
    spots = patches()
    if wear.edge:
        image = _rub_edges(image, small, wear.edge, rng)
    if wear.stains:
        stained = Image.new("L", (CANVAS, CANVAS), 0)
        draw = ImageDraw.Draw(stained)
        for x, y in _places(inside, wear.stains, rng):
            rx, ry = rng.uniform(16, 40), rng.uniform(14, 30)
            draw.ellipse((x - rx, y - ry, x + rx, y + ry), int(rng.integers(150, 215)))
        soft = np.asarray(stained.filter(ImageFilter.BoxBlur(7)), np.int16)
        rough = np.asarray(cut(spots, rng, (CANVAS, CANVAS)), np.int16)
        strength = (soft - (rough - 96).clip(0, 200)).clip(0, 190).astype(np.uint8)
        image = Image.composite(
            Image.new("RGB", image.size, _STAIN), image, Image.fromarray(strength)
        )
    draw = ImageDraw.Draw(image)
    for x, y in _places(inside, wear.scratches, rng):
        _scratch(draw, x, y, rng, bold=condition != "good")
    for x, y in _places(inside, wear.tears, rng):
        _tear(draw, x, y, rng)
    return image


def _places(inside: np.ndarray, count: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    chosen = inside[rng.integers(0, len(inside), count)] * 4.0
    return [(float(x), float(y)) for y, x in chosen]


def _rub_edges(
    image: Image.Image, small: Image.Image, opacity: int, rng: np.random.Generator
) -> Image.Image:
    depth = np.asarray(small.filter(ImageFilter.GaussianBlur(2.5)), np.int16)
    rough = np.asarray(cut(patches(), rng, small.size), np.int16)
    rim = (depth < 195) & (rough > 118)
    mask = Image.fromarray((rim * opacity).astype(np.uint8))
    mask = mask.resize(image.size, Image.Resampling.BILINEAR)
    return Image.composite(Image.new("RGB", image.size, _RUBBED), image, mask)


def _scratch(
    draw: ImageDraw.ImageDraw, x: float, y: float, rng: np.random.Generator, bold: bool
) -> None:
    angle = rng.uniform(0, np.pi)
    length = rng.uniform(26, 80) if bold else rng.uniform(16, 34)
    dx, dy = float(np.cos(angle)) * length / 2, float(np.sin(angle)) * length / 2
    middle = (x + float(rng.normal(0, 3)), y + float(rng.normal(0, 3)))
    path = [(x - dx, y - dy), middle, (x + dx, y + dy)]
    draw.line([(px + 1.5, py + 1.5) for px, py in path], (58, 54, 50), 2)
    draw.line(path, (232, 228, 220), 3 if bold else 2)


def _tear(draw: ImageDraw.ImageDraw, x: float, y: float, rng: np.random.Generator) -> None:
    angle = rng.uniform(0, 2 * np.pi)
    steps = np.cumsum(rng.uniform(9, 17, 6))
    path = [(x, y)]
    for step, side in zip(steps, rng.normal(0, 7, 6), strict=True):
        along = (
            np.cos(angle) * step - np.sin(angle) * side,
            np.sin(angle) * step + np.cos(angle) * side,
        )
        path.append((x + float(along[0]), y + float(along[1])))
    draw.line(path, (214, 206, 192), 9, joint="curve")
    draw.line(path, (16, 14, 14), 5, joint="curve")
