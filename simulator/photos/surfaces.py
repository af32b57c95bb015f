"""Colours the parts of a thing: its colour, pattern and material, and how light falls on it."""

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from simulator.photos.pen import CANVAS, Part
from simulator.photos.textures import cut, texture

Rgb = tuple[int, int, int]

COLOUR_RGB: dict[str, Rgb] = {
    "black": (42, 42, 46), "white": (236, 235, 230), "grey": (140, 143, 148), "red": (200, 38, 44),
    "blue": (40, 86, 190), "green": (44, 140, 78), "yellow": (240, 202, 48),
    "orange": (236, 126, 36), "purple": (126, 62, 164), "pink": (240, 140, 176),
    "brown": (124, 78, 46), "beige": (216, 192, 152),
}  # fmt: skip

_PARTS: dict[Part, Rgb] = {
    Part.DARK: (38, 38, 42), Part.LIGHT: (240, 238, 232), Part.METAL: (176, 180, 186),
    Part.SCREEN: (52, 92, 138), Part.WOOD: (164, 112, 62), Part.CARDBOARD: (186, 142, 92),
    Part.TAPE: (222, 200, 158),
}  # fmt: skip

# How much of a highlight each material throws back, 0 to 255.
_GLOSS = {"metal": 120, "ceramic": 105, "plastic": 70, "leather": 42, "wood": 22, "fabric": 0}


def paint(
    parts: Image.Image, colour: str, pattern: str, material: str, rng: np.random.Generator
) -> Image.Image:
    """Return the coloured thing, "RGB"; `parts` is the map a `Pen` drew."""
    main = _varied(COLOUR_RGB[colour], rng)
    dark_thing = sum(main) < 240
    trim = _scaled(main, 1.55 if dark_thing else 0.72, 14 if dark_thing else 0)
    ink = _scaled(main, 0.32, 8)
    # What is outside gets the ink too, so that smoothing the edge brings no stray colour in.
    palette = {**dict.fromkeys(Part, ink), **_PARTS, Part.BODY: main, Part.TRIM: trim}
    indexed = parts.copy()
    indexed.putpalette([value for part in Part for value in palette[part]])
    flat = indexed.convert("RGB")

    body = Image.new("RGB", parts.size, main)
    _draw_pattern(body, pattern, _accent(main), rng)
    is_body = parts.point([255 * (value == Part.BODY) for value in range(256)])
    flat.paste(body, mask=is_body)
    light = _relief(parts)
    surface = ImageChops.multiply(light, cut(texture(material), rng, parts.size))
    light.paste(surface, mask=is_body)
    painted = ImageChops.multiply(flat, Image.merge("RGB", (light, light, light)))
    gloss = _GLOSS[material]
    if gloss:
        shine = ImageChops.multiply(_highlight(gloss, material == "metal", rng), is_body)
        painted = ImageChops.screen(painted, Image.merge("RGB", (shine, shine, shine)))
    return painted


def _varied(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    red, green, blue = (int(np.clip(v + rng.normal(0, 7), 12, 243)) for v in rgb)
    return red, green, blue


def _scaled(rgb: Rgb, factor: float, plus: int = 0) -> Rgb:
    red, green, blue = (min(255, int(v * factor) + plus) for v in rgb)
    return red, green, blue


def _accent(main: Rgb) -> Rgb:
    bright = 0.3 * main[0] + 0.59 * main[1] + 0.11 * main[2] > 150
    return _scaled(main, 0.42) if bright else (242, 238, 226)


def _draw_pattern(body: Image.Image, pattern: str, accent: Rgb, rng: np.random.Generator) -> None:
    draw = ImageDraw.Draw(body)
    step = int(rng.integers(34, 49))
    offset = int(rng.integers(0, step))
    if pattern in ("striped", "checked"):
        width = round(step * (0.38 if pattern == "striped" else 0.22))
        vertical = pattern == "checked" or rng.random() < 0.5
        for start in range(offset - step, CANVAS + step, step):
            if vertical:
                draw.line([(start, 0), (start, CANVAS)], accent, width)
            if pattern == "checked" or not vertical:
                draw.line([(0, start), (CANVAS, start)], accent, width)
    elif pattern == "dotted":
        radius = step * 0.23
        for row, y in enumerate(range(offset - step, CANVAS + step, step)):
            for x in range(-step + (row % 2) * step // 2, CANVAS + step, step):
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), accent)


def _highlight(strength: int, bands: bool, rng: np.random.Generator) -> Image.Image:
    small = Image.new("L", (64, 64), 0)
    draw = ImageDraw.Draw(small)
    x = int(rng.integers(14, 30))
    if bands:
        draw.polygon([(x, 0), (x + 9, 0), (x - 5, 64), (x - 14, 64)], strength)
        draw.polygon([(x + 26, 0), (x + 31, 0), (x + 17, 64), (x + 12, 64)], strength * 2 // 3)
        blur = 1.2
    else:
        y = int(rng.integers(14, 30))
        draw.ellipse((x - 9, y - 6, x + 9, y + 6), strength)
        draw.ellipse((x + 12, y + 16, x + 19, y + 21), strength // 2)
        blur = 2.2
    smooth = small.filter(ImageFilter.GaussianBlur(blur))
    return smooth.resize((CANVAS, CANVAS), Image.Resampling.BILINEAR)


def _relief(parts: Image.Image) -> Image.Image:
    """Return the light on the thing, "L", as if its parts were cushions lit from the upper left."""
    solid = parts.point([0] + [255] * 255).reduce(4)
    raised = parts.point([0, 255, 200, 120, 150, 210, 190, 130, 190, 230, 235] + [0] * 245)
    raised = raised.reduce(4)
    height = np.asarray(solid.filter(ImageFilter.GaussianBlur(7)), np.float32)
    height += 0.35 * np.asarray(raised.filter(ImageFilter.GaussianBlur(2)), np.float32)
    slope_y, slope_x = np.gradient(height)
    light = 224 + 4.2 * (slope_x + slope_y)
    shade = Image.fromarray(light.clip(95, 255).astype(np.uint8))
    return shade.resize(parts.size, Image.Resampling.BILINEAR)
