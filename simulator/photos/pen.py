"""Draws a thing as a map of parts: each pixel says which part of the thing it belongs to."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

CANVAS = 448  # pixels; most photos show it at 0.75 to 1.2 of that, sharp enough and quick

Point = tuple[float, float]


class Part(IntEnum):
    """What a pixel of a thing is made of. Only BODY carries the pattern and the material."""

    NOTHING = 0
    BODY = 1
    TRIM = 2  # in a darker tone of the thing's colour
    INK = 3  # outlines and seams
    DARK = 4
    LIGHT = 5
    METAL = 6
    SCREEN = 7
    WOOD = 8
    CARDBOARD = 9
    TAPE = 10


class Anchor(NamedTuple):
    """Where the brand mark sits: centre and radius in units of the canvas."""

    x: float
    y: float
    radius: float


class Pen:
    """Draws parts in unit coordinates, x to the right and y down, each over the ones before."""

    def __init__(self) -> None:
        self.image = Image.new("L", (CANVAS, CANVAS), Part.NOTHING)
        self._draw = ImageDraw.Draw(self.image)

    def polygon(self, points: Sequence[Point], part: Part, outline: float = 0.008) -> None:
        """Fill a polygon, with an outline of that width in ink."""
        pixels = [(x * CANVAS, y * CANVAS) for x, y in points]
        self._draw.polygon(pixels, fill=part)
        if outline:
            self._draw.line([*pixels, pixels[0]], Part.INK, _width(outline), joint="curve")

    def blob(self, points: Sequence[Point], part: Part, outline: float = 0.008) -> None:
        """Fill the smooth closed curve through the points."""
        self.polygon(_smooth(points, closed=True), part, outline)

    def ellipse(
        self, centre: Point, rx: float, ry: float, part: Part, outline: float = 0.008
    ) -> None:
        """Fill an ellipse."""
        self._draw.ellipse(
            _box(centre[0] - rx, centre[1] - ry, centre[0] + rx, centre[1] + ry),
            fill=part,
            outline=Part.INK if outline else None,
            width=_width(outline) if outline else 0,
        )

    def ring(self, centre: Point, radius: float, part: Part, width: float) -> None:
        """Draw a circle's rim; nothing inside it changes."""
        x, y = centre
        self._draw.ellipse(
            _box(x - radius, y - radius, x + radius, y + radius), outline=part, width=_width(width)
        )

    def box(
        self,
        corners: tuple[float, float, float, float],
        part: Part,
        radius: float = 0.0,
        outline: float = 0.008,
    ) -> None:
        """Fill an upright rectangle (left, top, right, bottom) with rounded corners."""
        self._draw.rounded_rectangle(
            _box(*corners),
            radius=radius * CANVAS,
            fill=part,
            outline=Part.INK if outline else None,
            width=_width(outline) if outline else 0,
        )

    def line(self, points: Sequence[Point], part: Part, width: float) -> None:
        """Draw a broken line with rounded joints."""
        pixels = [(x * CANVAS, y * CANVAS) for x, y in points]
        self._draw.line(pixels, part, _width(width), joint="curve")

    def tube(self, points: Sequence[Point], part: Part, width: float) -> None:
        """Draw a smooth open line with an outline, such as a handle or a cable."""
        smooth = _smooth(points, closed=False)
        self.line(smooth, Part.INK, width + 0.016)
        self.line(smooth, part, width)

    def erase(self, centre: Point, rx: float, ry: float) -> None:
        """Make an elliptic hole."""
        self.ellipse(centre, rx, ry, Part.NOTHING, outline=0)


def _width(units: float) -> int:
    return max(1, round(units * CANVAS))


def _box(left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
    return (left * CANVAS, top * CANVAS, right * CANVAS, bottom * CANVAS)


def _smooth(points: Sequence[Point], closed: bool, steps: int = 10) -> list[Point]:
    # Catmull-Rom: passes through every point, so that a shape can be read off its numbers
    nodes = np.asarray(points)
    if closed:
        nodes = np.vstack([nodes[-1], nodes, nodes[0], nodes[1]])
    else:
        nodes = np.vstack([nodes[0], nodes, nodes[-1]])
    before, first, second, after = nodes[:-3], nodes[1:-2], nodes[2:-1], nodes[3:]
    t = np.linspace(0.0, 1.0, steps, endpoint=False)[:, None, None]
    curve = 0.5 * (
        2 * first
        + (second - before) * t
        + (2 * before - 5 * first + 4 * second - after) * t**2
        + (3 * first - before - 3 * second + after) * t**3
    )
    path = curve.transpose(1, 0, 2).reshape(-1, 2)
    if not closed:
        path = np.vstack([path, nodes[-1]])
    return [(float(x), float(y)) for x, y in path]
