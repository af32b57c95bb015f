"""Brand marks: a figure on a round badge, its own for every maker."""

from math import cos, pi, sin

from PIL import ImageDraw

from simulator.catalogue import Brand
from simulator.photos.pen import CANVAS, Anchor

INKS: dict[str, tuple[int, int, int]] = {
    "black": (24, 24, 28), "white": (246, 246, 242), "red": (214, 32, 40), "green": (18, 140, 74),
    "blue": (28, 88, 204), "navy": (18, 28, 84), "yellow": (252, 214, 20), "gold": (244, 192, 60),
    "orange": (246, 124, 16), "purple": (122, 36, 156), "cyan": (20, 190, 216),
}  # fmt: skip

# Corners of the figures in a circle of radius 1, x to the right and y down.
_FIGURES: dict[str, list[tuple[float, float]]] = {
    "triangle": [(0, -0.95), (0.85, 0.6), (-0.85, 0.6)],
    "square": [(-0.7, -0.7), (0.7, -0.7), (0.7, 0.7), (-0.7, 0.7)],
    "diamond": [(0, -1), (0.7, 0), (0, 1), (-0.7, 0)],
    "bolt": [(0.3, -1), (-0.6, 0.15), (-0.05, 0.15), (-0.3, 1), (0.6, -0.2), (0.05, -0.2)],
    "cross": [
        (-0.28, -0.9), (0.28, -0.9), (0.28, -0.28), (0.9, -0.28), (0.9, 0.28), (0.28, 0.28),
        (0.28, 0.9), (-0.28, 0.9), (-0.28, 0.28), (-0.9, 0.28), (-0.9, -0.28), (-0.28, -0.28),
    ],
    "chevron": [(-0.9, 0.1), (0, -0.8), (0.9, 0.1), (0.9, 0.75), (0, -0.1), (-0.9, 0.75)],
    "hexagon": [(sin(k * pi / 3) * 0.9, cos(k * pi / 3) * 0.9) for k in range(6)],
    "star": [
        (sin(k * pi / 5) * (0.42, 1.0)[k % 2], cos(k * pi / 5) * (0.42, 1.0)[k % 2])
        for k in range(10)
    ],
    "sun": [
        (sin(k * pi / 12) * (0.62, 1.0)[k % 2], cos(k * pi / 12) * (0.62, 1.0)[k % 2])
        for k in range(24)
    ],
    "wave": [
        *((x / 10, -0.25 + 0.3 * sin(x * 0.7)) for x in range(-9, 10)),
        *((x / 10, 0.30 + 0.3 * sin(x * 0.7)) for x in range(9, -10, -1)),
    ],
    "heart": [
        (
            0.058 * 16 * sin(t * pi / 16) ** 3,
            -0.058 * (13 * cos(t * pi / 16) - 5 * cos(t * pi / 8) - 2 * cos(t * 3 * pi / 16))
            - 0.05,
        )
        for t in range(32)
    ],
    "drop": [
        (0, -1.0), (0.32, -0.45), (0.58, 0.05), (0.62, 0.4), (0.45, 0.75), (0, 0.92),
        (-0.45, 0.75), (-0.62, 0.4), (-0.58, 0.05), (-0.32, -0.45),
    ],
}  # fmt: skip


def draw_mark(draw: ImageDraw.ImageDraw, brand: Brand, anchor: Anchor) -> None:
    """Draw the maker's badge at the anchor of a thing, on a canvas of CANVAS x CANVAS pixels."""
    x, y, radius = (value * CANVAS for value in anchor)
    ink, badge = INKS[brand.colour], INKS[brand.badge]

    def disc(centre: float, size: float, colour: tuple[int, int, int]) -> None:
        box = (centre - size, y - size, centre + size, y + size)
        draw.ellipse(box, fill=colour)

    disc(x, radius, ink)
    disc(x, radius * 0.9, badge)
    size = radius * 0.68
    if brand.figure == "ring":
        disc(x, size, ink)
        disc(x, size * 0.5, badge)
    elif brand.figure == "moon":
        disc(x, size, ink)
        disc(x + size * 0.45, size * 0.8, badge)
    else:
        corners = [(x + px * size, y + py * size) for px, py in _FIGURES[brand.figure]]
        draw.polygon(corners, fill=ink)
