"""Grey textures, made once a process from a fixed seed and cut at random places afterwards."""

from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

TILE = 1024  # pixels; larger than a photo, so that no two cuts look the same


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng([2024, *name.encode()])


def _noise(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Return uniform grey noise of a grid, enlarged smoothly to TILE x TILE."""
    grid = rng.integers(0, 256, (height, width), dtype=np.uint8)
    return Image.fromarray(grid).resize((TILE, TILE), Image.Resampling.BICUBIC)


def _levels(image: Image.Image, low: int, high: int) -> Image.Image:
    return image.point([low + (high - low) * value // 255 for value in range(256)])


@cache
def texture(material: str) -> Image.Image:
    """Return the surface of a material, "L", TILE x TILE, at most 255: to be multiplied with."""
    rng = _rng(material)
    if material == "leather":
        cells = _noise(rng, 200, 200)
        grain = cells.filter(ImageFilter.FIND_EDGES).filter(ImageFilter.GaussianBlur(1))
        grain = grain.point([max(0, 255 - 5 * value) for value in range(256)])
        return _levels(Image.blend(grain, _noise(rng, 60, 60), 0.35), 185, 255)
    if material == "fabric":
        y, x = np.mgrid[0:TILE, 0:TILE]
        weave = 0.5 + 0.25 * np.sign(np.sin(x * 0.9)) * np.sign(np.sin(y * 0.9))
        weave += 0.25 * np.sin(x * 0.45) * np.sin(y * 0.45)
        thread = Image.fromarray((weave * 255).clip(0, 255).astype(np.uint8))
        return _levels(Image.blend(thread, _noise(rng, 300, 300), 0.35), 165, 255)
    if material == "wood":
        grain = Image.blend(_noise(rng, 12, 230), _noise(rng, 5, 60), 0.5)
        bent = grain.rotate(4, Image.Resampling.BILINEAR).filter(ImageFilter.GaussianBlur(1))
        return _levels(bent.point([min(255, max(0, (v - 80) * 3)) for v in range(256)]), 135, 255)
    if material == "metal":
        return _levels(_noise(rng, 6, TILE), 205, 255)
    return _levels(_noise(rng, 60, 60), 240, 255)  # plastic and ceramic are smooth


@cache
def carpet() -> Image.Image:
    """Return a pile of short threads, "L", TILE x TILE."""
    rng = _rng("carpet")
    fine = _noise(rng, TILE // 2, TILE // 2)
    return Image.blend(fine, _noise(rng, 90, 90), 0.45)


@cache
def planks() -> Image.Image:
    """Return a floor of boards, "L", TILE x TILE."""
    rng = _rng("planks")
    floor = _levels(_noise(rng, 8, 300), 110, 230)
    draw = ImageDraw.Draw(floor, "L")
    tone = _noise(rng, 2, 8)
    floor = Image.blend(floor, _levels(tone.resize((2, 8)).resize((TILE, TILE), 0), 120, 240), 0.35)
    draw = ImageDraw.Draw(floor)
    for row in range(8):
        top = row * TILE // 8
        draw.line([(0, top), (TILE, top)], 60, 4)
        for cut in rng.integers(0, TILE, 2):
            draw.line([(int(cut), top), (int(cut), top + TILE // 8)], 70, 3)
    return floor


@cache
def grain() -> Image.Image:
    """Return sensor noise around 128, "RGB", TILE x TILE, standard deviation 24."""
    noise = _rng("grain").normal(128, 24, (TILE, TILE, 3))
    return Image.fromarray(noise.clip(0, 255).astype(np.uint8), "RGB")


@cache
def patches() -> Image.Image:
    """Return irregular dark spots on white, "L", TILE x TILE: stains and worn places."""
    rng = _rng("patches")
    return Image.blend(_noise(rng, 28, 28), _noise(rng, 110, 110), 0.4)


def cut(tile: Image.Image, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Return a random part of a texture."""
    left = int(rng.integers(0, TILE - size[0] + 1))
    top = int(rng.integers(0, TILE - size[1] + 1))
    return tile.crop((left, top, left + size[0], top + size[1]))
