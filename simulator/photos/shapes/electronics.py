"""Phones, laptops, cameras and headphones."""

from simulator.photos.pen import Anchor, Part, Pen


def phone(pen: Pen, three_lenses: bool) -> Anchor:
    """Draw a phone twice: its screen behind, its back before it; three lenses in the variant."""
    pen.box((0.50, 0.06, 0.88, 0.84), Part.DARK, 0.05)
    pen.box((0.52, 0.08, 0.86, 0.82), Part.SCREEN, 0.035, 0)
    for row in range(5):
        for column in range(2):
            x, y = 0.665 + 0.10 * column, 0.15 + 0.105 * row
            part = (Part.LIGHT, Part.TRIM, Part.METAL)[(row + column) % 3]
            pen.box((x, y, x + 0.06, y + 0.06), part, 0.015, 0)
    pen.box((0.10, 0.14, 0.52, 0.96), Part.BODY, 0.06, 0.012)
    if three_lenses:
        pen.box((0.13, 0.17, 0.34, 0.38), Part.TRIM, 0.04)
        lenses = [(0.19, 0.23), (0.19, 0.325), (0.28, 0.275)]
    else:
        pen.box((0.13, 0.17, 0.235, 0.275), Part.TRIM, 0.04)
        lenses = [(0.1825, 0.2225)]
    for lens in lenses:
        pen.ellipse(lens, 0.038, 0.038, Part.METAL, 0.006)
        pen.ellipse(lens, 0.024, 0.024, Part.DARK, 0)
    return Anchor(0.31, 0.60, 0.126)


def laptop(pen: Pen, large: bool) -> Anchor:
    """Draw an open laptop; wide, with a number pad, in the variant."""
    left = 0.10 if large else 0.20
    right = 1 - left
    pen.box((left, 0.10, right, 0.60), Part.BODY, 0.03)
    pen.box((left + 0.035, 0.135, right - 0.035, 0.57), Part.SCREEN, 0.01)
    pen.polygon([(left, 0.60), (right, 0.60), (right + 0.08, 0.86), (left - 0.08, 0.86)], Part.BODY)
    pen.polygon(
        [(left - 0.08, 0.86), (right + 0.08, 0.86), (right + 0.07, 0.89), (left - 0.07, 0.89)],
        Part.TRIM,
    )
    for row in range(3):
        y = 0.625 + 0.042 * row
        inset = 0.035 - 0.0125 * row
        start, end = left + inset, right - inset
        block = 0.78 if large else 1.0
        columns = 11 if large else 10
        width = (end - start) * block / columns
        for column in range(columns):
            x = start + column * width
            pen.box((x, y, x + width * 0.8, y + 0.03), Part.DARK, 0.005, 0)
        if large:
            for column in range(3):
                x = start + (end - start) * (0.83 + 0.06 * column)
                pen.box((x, y, x + 0.03, y + 0.03), Part.METAL, 0.005, 0)
    pen.polygon([(0.42, 0.77), (0.58, 0.77), (0.59, 0.84), (0.41, 0.84)], Part.TRIM, 0.005)
    return Anchor(0.5, 0.35, 0.138)


def camera(pen: Pen, large_lens: bool) -> Anchor:
    """Draw a camera from the front, with a large lens in the variant."""
    pen.polygon([(0.36, 0.30), (0.41, 0.16), (0.61, 0.16), (0.66, 0.30)], Part.METAL)
    pen.box((0.12, 0.23, 0.25, 0.32), Part.METAL, 0.015)
    pen.box((0.74, 0.24, 0.84, 0.32), Part.DARK, 0.015)
    pen.box((0.06, 0.28, 0.94, 0.84), Part.BODY, 0.06)
    pen.box((0.065, 0.285, 0.935, 0.36), Part.METAL, 0.04, 0.005)
    pen.box((0.46, 0.185, 0.56, 0.245), Part.LIGHT, 0.01, 0.005)
    centre = (0.56, 0.60)
    radius = 0.265 if large_lens else 0.18
    pen.ellipse(centre, radius, radius, Part.DARK)
    pen.ellipse(centre, radius * 0.86, radius * 0.86, Part.METAL)
    pen.ellipse(centre, radius * 0.72, radius * 0.72, Part.DARK)
    pen.ellipse(centre, radius * 0.50, radius * 0.50, Part.SCREEN)
    pen.ellipse((0.56 - radius * 0.2, 0.60 - radius * 0.2), 0.03, 0.03, Part.LIGHT, 0)
    pen.ellipse((0.87, 0.44), 0.028, 0.028, Part.LIGHT)
    return Anchor(0.185, 0.60, 0.108)


def headphones(pen: Pen, cable: bool) -> Anchor:
    """Draw headphones, with a boom microphone and its cable in the variant."""
    if cable:
        pen.tube([(0.24, 0.78), (0.27, 0.92), (0.42, 0.96), (0.55, 0.90)], Part.DARK, 0.022)
        pen.ellipse((0.57, 0.89), 0.05, 0.035, Part.METAL)
    arch = [(0.20, 0.58), (0.19, 0.32), (0.33, 0.12), (0.5, 0.07), (0.67, 0.12), (0.81, 0.32)]
    pen.tube([*arch, (0.80, 0.58)], Part.BODY, 0.075)
    pen.tube([(0.36, 0.17), (0.5, 0.135), (0.64, 0.17)], Part.DARK, 0.03)
    for x, side in ((0.20, 1), (0.80, -1)):
        pen.ellipse((x + side * 0.085, 0.64), 0.075, 0.175, Part.DARK)
        pen.ellipse((x, 0.64), 0.125, 0.19, Part.BODY)
        pen.ellipse((x, 0.64), 0.098, 0.155, Part.TRIM, 0.005)
        pen.ellipse((x, 0.64), 0.088, 0.142, Part.BODY, 0.005)
    return Anchor(0.20, 0.64, 0.094)
