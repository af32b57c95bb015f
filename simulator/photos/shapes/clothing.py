"""Shoes, shirts, bags and watches."""

from math import cos, pi, sin

from simulator.photos.pen import Anchor, Part, Pen


def shoe(pen: Pen, high: bool) -> Anchor:
    """Draw a trainer from its side, ankle-high in the variant."""
    top = 0.20 if high else 0.37
    collar = [(0.10, top + 0.02), (0.22, top + 0.05), (0.36, top)]
    upper = [(0.09, 0.72), (0.07, 0.52), *collar, (0.42, 0.45), (0.56, 0.53), (0.76, 0.57)]
    pen.blob([*upper, (0.92, 0.64), (0.94, 0.74), (0.50, 0.75)], Part.BODY)
    pen.blob([(0.74, 0.75), (0.76, 0.60), (0.88, 0.61), (0.94, 0.70), (0.93, 0.76)], Part.TRIM)
    pen.blob([(0.08, 0.74), (0.075, 0.54), (0.15, 0.55), (0.16, 0.74)], Part.TRIM)
    pen.blob(
        [
            (0.06, 0.73),
            (0.30, 0.74),
            (0.60, 0.74),
            (0.95, 0.72),
            (0.96, 0.80),
            (0.5, 0.83),
            (0.08, 0.82),
        ],
        Part.LIGHT,
    )
    pen.line([(0.07, 0.785), (0.95, 0.775)], Part.INK, 0.008)
    for step in range(5 if high else 4):
        x = 0.61 - 0.065 * step
        y = 0.535 - 0.04 * step - (0.03 if step > 3 else 0)
        pen.line([(x, y), (x - 0.07, y + 0.11)], Part.LIGHT, 0.022)
    return Anchor(0.30, 0.615, 0.102)


def shirt(pen: Pen, long_sleeves: bool) -> Anchor:
    """Draw a shirt laid flat, with long sleeves in the variant."""
    cuff = [(0.02, 0.74), (0.14, 0.77)] if long_sleeves else [(0.04, 0.38), (0.17, 0.47)]
    left = [(0.38, 0.10), (0.25, 0.14), *cuff, (0.28, 0.36), (0.27, 0.92)]
    right = [(1 - x, y) for x, y in reversed(left)]
    pen.polygon([*left, *right], Part.BODY)
    for side in (1, -1):
        ends = [(0.5 + side * (x - 0.5), y) for x, y in cuff]
        pen.line(ends, Part.TRIM, 0.035)
        pen.line([(0.5 - side * 0.22, 0.36), (0.5 - side * 0.235, 0.22)], Part.INK, 0.006)
    pen.line([(0.275, 0.90), (0.725, 0.90)], Part.TRIM, 0.03)
    pen.ellipse((0.5, 0.10), 0.125, 0.085, Part.TRIM)
    pen.erase((0.5, 0.075), 0.10, 0.065)
    return Anchor(0.5, 0.42, 0.12)


def bag(pen: Pen, long_strap: bool) -> Anchor:
    """Draw a handbag from the front, with a shoulder strap in the variant."""
    if long_strap:
        pen.tube(
            [(0.16, 0.50), (0.22, 0.20), (0.5, 0.05), (0.78, 0.20), (0.84, 0.50)], Part.TRIM, 0.03
        )
    else:
        pen.tube(
            [(0.34, 0.48), (0.36, 0.30), (0.5, 0.23), (0.64, 0.30), (0.66, 0.48)], Part.TRIM, 0.045
        )
    pen.blob(
        [
            (0.17, 0.44),
            (0.5, 0.42),
            (0.83, 0.44),
            (0.90, 0.68),
            (0.90, 0.88),
            (0.5, 0.91),
            (0.10, 0.88),
            (0.10, 0.68),
        ],
        Part.BODY,
    )
    pen.blob(
        [(0.16, 0.44), (0.5, 0.42), (0.84, 0.44), (0.80, 0.53), (0.5, 0.58), (0.20, 0.53)],
        Part.TRIM,
    )
    pen.box((0.46, 0.545, 0.54, 0.60), Part.METAL, 0.015)
    for x in (0.34, 0.66):
        pen.ellipse((x, 0.475), 0.022, 0.022, Part.METAL)
    return Anchor(0.5, 0.735, 0.114)


def watch(pen: Pen, chronograph: bool) -> Anchor:
    """Draw a wrist watch, with three small dials in the variant."""
    pen.polygon([(0.37, 0.32), (0.40, 0.02), (0.60, 0.02), (0.63, 0.32)], Part.BODY)
    pen.polygon([(0.37, 0.68), (0.40, 0.98), (0.60, 0.98), (0.63, 0.68)], Part.BODY)
    pen.box((0.38, 0.06, 0.62, 0.09), Part.METAL, 0.01)
    for y in (0.80, 0.86, 0.92):
        pen.ellipse((0.5, y), 0.012, 0.012, Part.INK, 0)
    pen.box((0.775, 0.47, 0.83, 0.53), Part.METAL, 0.01)
    if chronograph:
        pen.box((0.72, 0.31, 0.79, 0.36), Part.METAL, 0.01)
        pen.box((0.72, 0.64, 0.79, 0.69), Part.METAL, 0.01)
    pen.ellipse((0.5, 0.5), 0.29, 0.29, Part.METAL)
    pen.ellipse((0.5, 0.5), 0.235, 0.235, Part.LIGHT)
    for hour in range(12):
        x, y = sin(hour * pi / 6), cos(hour * pi / 6)
        pen.line(
            [(0.5 + 0.19 * x, 0.5 + 0.19 * y), (0.5 + 0.225 * x, 0.5 + 0.225 * y)], Part.INK, 0.014
        )
    if chronograph:
        for x in (0.37, 0.63):
            pen.ellipse((x, 0.5), 0.055, 0.055, Part.TRIM, 0.006)
        pen.ellipse((0.5, 0.625), 0.055, 0.055, Part.TRIM, 0.006)
    pen.line([(0.5, 0.5), (0.5, 0.33)], Part.INK, 0.014)
    pen.line([(0.5, 0.5), (0.62, 0.57)], Part.INK, 0.02)
    return Anchor(0.5, 0.405, 0.084)
