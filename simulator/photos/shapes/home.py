"""Lamps, chairs, teapots and sofas, and the closed box that shows nothing."""

from simulator.photos.pen import Anchor, Part, Pen


def lamp(pen: Pen, globe: bool) -> Anchor:
    """Draw a table lamp, with a globe for a shade in the variant."""
    pen.line([(0.5, 0.45), (0.5, 0.88)], Part.INK, 0.056)
    pen.line([(0.5, 0.45), (0.5, 0.88)], Part.METAL, 0.04)
    pen.ellipse((0.5, 0.66), 0.06, 0.06, Part.TRIM)
    pen.ellipse((0.5, 0.90), 0.22, 0.055, Part.TRIM)
    if globe:
        pen.ellipse((0.5, 0.32), 0.28, 0.27, Part.BODY)
        pen.ellipse((0.5, 0.575), 0.09, 0.03, Part.METAL)
        return Anchor(0.5, 0.33, 0.126)
    pen.ellipse((0.5, 0.54), 0.08, 0.05, Part.LIGHT)
    pen.polygon([(0.33, 0.08), (0.67, 0.08), (0.86, 0.52), (0.14, 0.52)], Part.BODY)
    pen.line([(0.335, 0.09), (0.665, 0.09)], Part.TRIM, 0.03)
    pen.line([(0.15, 0.507), (0.85, 0.507)], Part.TRIM, 0.03)
    return Anchor(0.5, 0.31, 0.12)


def chair(pen: Pen, arms: bool) -> Anchor:
    """Draw a chair from the front, with arms in the variant."""
    for x, foot in ((0.30, 0.27), (0.70, 0.73)):
        pen.line([(x, 0.60), (foot, 0.90)], Part.INK, 0.05)
        pen.line([(x, 0.60), (foot, 0.90)], Part.WOOD, 0.034)
    for x in (0.33, 0.67):
        pen.line([(x, 0.44), (x, 0.60)], Part.INK, 0.05)
        pen.line([(x, 0.44), (x, 0.60)], Part.WOOD, 0.034)
    pen.box((0.25, 0.05, 0.75, 0.47), Part.BODY, 0.07)
    pen.blob(
        [(0.22, 0.57), (0.5, 0.55), (0.78, 0.57), (0.85, 0.67), (0.5, 0.70), (0.15, 0.67)],
        Part.BODY,
    )
    for x, foot in ((0.20, 0.16), (0.80, 0.84)):
        pen.line([(x, 0.68), (foot, 0.97)], Part.INK, 0.056)
        pen.line([(x, 0.68), (foot, 0.965)], Part.WOOD, 0.04)
    if arms:
        for side in (-1, 1):
            ends = [(0.5 + side * 0.25, 0.36), (0.5 + side * 0.38, 0.40), (0.5 + side * 0.41, 0.50)]
            pen.tube([*ends, (0.5 + side * 0.36, 0.64)], Part.WOOD, 0.045)
    return Anchor(0.5, 0.25, 0.12)


def teapot(pen: Pen, cup: bool) -> Anchor:
    """Draw a teapot, beside a cup in the variant."""
    pen.tube([(0.26, 0.40), (0.09, 0.38), (0.08, 0.58), (0.26, 0.70)], Part.TRIM, 0.05)
    pen.blob(
        [
            (0.62, 0.62),
            (0.76, 0.52),
            (0.82, 0.34),
            (0.92, 0.30),
            (0.88, 0.46),
            (0.80, 0.66),
            (0.64, 0.76),
        ],
        Part.BODY,
    )
    pen.ellipse((0.46, 0.84), 0.17, 0.035, Part.TRIM)
    pen.ellipse((0.46, 0.58), 0.28, 0.26, Part.BODY)
    pen.blob(
        [(0.29, 0.36), (0.36, 0.28), (0.46, 0.25), (0.56, 0.28), (0.63, 0.36), (0.46, 0.40)],
        Part.TRIM,
    )
    pen.ellipse((0.46, 0.215), 0.04, 0.04, Part.TRIM)
    if cup:
        pen.ellipse((0.80, 0.92), 0.16, 0.035, Part.LIGHT)
        pen.ring((0.925, 0.81), 0.045, Part.TRIM, 0.02)
        pen.blob(
            [(0.68, 0.75), (0.80, 0.745), (0.92, 0.75), (0.89, 0.87), (0.80, 0.91), (0.71, 0.87)],
            Part.BODY,
        )
        pen.ellipse((0.80, 0.75), 0.12, 0.025, Part.LIGHT)
    return Anchor(0.44, 0.59, 0.126)


def sofa(pen: Pen, three_seats: bool) -> Anchor:
    """Draw a sofa from the front, with three seats in the variant."""
    for x in (0.12, 0.88):
        pen.polygon(
            [(x - 0.03, 0.78), (x + 0.03, 0.78), (x + 0.015, 0.87), (x - 0.015, 0.87)], Part.WOOD
        )
    left, right = (0.03, 0.97) if three_seats else (0.13, 0.87)
    pen.box((left + 0.05, 0.25, right - 0.05, 0.66), Part.BODY, 0.06)
    seats = 3 if three_seats else 2
    width = (right - left - 0.18) / seats
    for seat in range(seats):
        x = left + 0.09 + seat * width
        pen.box((x, 0.30, x + width, 0.58), Part.BODY, 0.04)
        pen.box((x, 0.56, x + width, 0.70), Part.BODY, 0.035)
    pen.box((left + 0.05, 0.69, right - 0.05, 0.80), Part.TRIM, 0.02)
    for x in (left, right - 0.12):
        pen.box((x, 0.42, x + 0.12, 0.81), Part.BODY, 0.05)
    return Anchor(0.5 if three_seats else 0.5 - width / 2, 0.43, 0.096)


def closed_box(pen: Pen, tall: bool) -> Anchor:
    """Draw a closed parcel: a photo that says nothing about the thing inside."""
    top = 0.30 if tall else 0.42
    pen.polygon([(0.12, top), (0.62, top + 0.07), (0.62, 0.92), (0.12, 0.82)], Part.CARDBOARD)
    pen.polygon(
        [(0.62, top + 0.07), (0.90, top - 0.05), (0.90, 0.78), (0.62, 0.92)], Part.CARDBOARD
    )
    pen.polygon(
        [(0.12, top), (0.42, top - 0.11), (0.90, top - 0.05), (0.62, top + 0.07)], Part.CARDBOARD
    )
    pen.polygon(
        [(0.34, top + 0.03), (0.63, top - 0.085), (0.69, top - 0.077), (0.41, top + 0.04)],
        Part.TAPE,
        0,
    )
    pen.polygon(
        [(0.34, top + 0.03), (0.41, top + 0.04), (0.41, top + 0.16), (0.34, top + 0.15)],
        Part.TAPE,
        0,
    )
    return Anchor(0.3, 0.6, 0.0)
