"""Where the thing was photographed: walls, floors, carpets, tables full of other things."""

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from simulator.photos.textures import carpet, cut, planks, texture

Rgb = tuple[int, int, int]

BACKGROUNDS = ("plain", "gradient", "wood", "carpet", "clutter", "cloth")

_WALLS = ((206, 204, 198), (176, 188, 196), (200, 186, 170), (150, 160, 152), (186, 176, 190))
_RUGS = ((132, 96, 84), (86, 104, 128), (110, 122, 92), (150, 138, 118), (98, 88, 104))
_BOARDS = ((176, 130, 84), (128, 88, 58), (196, 164, 120))


def background(kind: str, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Return an empty scene, "RGB"."""
    if kind == "plain":
        return Image.new("RGB", size, _tone(_WALLS, rng))
    if kind == "wood":
        return _tinted(cut(planks(), rng, size), _tone(_BOARDS, rng), 0.35)
    if kind == "carpet":
        return _tinted(cut(carpet(), rng, size), _tone(_RUGS, rng), 0.55)
    if kind == "cloth":
        return _tinted(cut(texture("fabric"), rng, size), _tone(_WALLS, rng), 0.2)
    if kind == "clutter":
        return _clutter(size, rng)
    return _room(size, rng)


def _tone(palette: tuple[Rgb, ...], rng: np.random.Generator) -> Rgb:
    base = palette[rng.integers(len(palette))]
    shift = rng.normal(0, 12)
    red, green, blue = (int(np.clip(v + shift, 40, 222)) for v in base)
    return red, green, blue


def _tinted(grey: Image.Image, tone: Rgb, darkest: float) -> Image.Image:
    return ImageOps.colorize(grey, _darker(tone, darkest), tone)


def _darker(tone: Rgb, factor: float) -> Rgb:
    red, green, blue = (int(v * factor) for v in tone)
    return red, green, blue


def _room(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Return a wall above a table, each with its own fall of light."""
    width, height = size
    ramp = Image.linear_gradient("L").resize(size)
    paint, boards = _tone(_WALLS, rng), _tone(_BOARDS, rng)
    wall = ImageOps.colorize(ramp, _darker(paint, 0.72), paint)
    table = ImageOps.colorize(ramp, boards, _darker(boards, 0.6))
    horizon = int(height * rng.uniform(0.45, 0.7))
    wall.paste(table.crop((0, 0, width, height - horizon)), (0, horizon))
    return wall


def _clutter(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Return other things out of focus, on boards."""
    width, height = size[0] // 2, size[1] // 2
    scene = _tinted(cut(planks(), rng, (width, height)), _tone(_BOARDS, rng), 0.35)
    draw = ImageDraw.Draw(scene)
    for _ in range(int(rng.integers(7, 13))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        rx, ry = rng.uniform(14, 52), rng.uniform(14, 46)
        colour = tuple(int(v) for v in rng.integers(50, 205, 3))
        corners = (x - rx, y - ry, x + rx, y + ry)
        if rng.random() < 0.5:
            draw.ellipse(corners, colour)
        else:
            draw.rectangle(corners, colour)
    soft = scene.filter(ImageFilter.GaussianBlur(4.5))
    return soft.resize(size, Image.Resampling.BILINEAR)


def cast_shadow(
    scene: Image.Image, outline: Image.Image, place: tuple[int, int], rng: np.random.Generator
) -> Image.Image:
    """Darken the scene where the thing at `place` keeps the light away."""
    # Only around the thing, and on a quarter of the pixels: a shadow has no fine detail.
    margin = 10
    small = outline.reduce(4)
    shadow = Image.new("L", (small.width + 2 * margin, small.height + 2 * margin), 0)
    shift = (int(rng.integers(1, 6)), int(rng.integers(2, 7)))
    shadow.paste(small, (margin + shift[0], margin + shift[1]))
    shadow = shadow.filter(ImageFilter.BoxBlur(float(rng.uniform(2, 4))))
    light = shadow.point([255 - value * 120 // 255 for value in range(256)])
    light = light.resize((light.width * 4, light.height * 4), Image.Resampling.BILINEAR)
    corner = (place[0] - 4 * margin, place[1] - 4 * margin)
    box = (*corner, corner[0] + light.width, corner[1] + light.height)
    around = ImageChops.multiply(scene.crop(box), Image.merge("RGB", (light, light, light)))
    scene.paste(around, corner)
    return scene
