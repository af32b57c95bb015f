"""Bicycles, guitars, balls and books."""

from math import cos, pi, sin

from simulator.photos.pen import Anchor, Part, Pen


def bicycle(pen: Pen, basket: bool) -> Anchor:
    """Draw a bicycle from its side, with a basket in the variant."""
    rear, front, bracket = (0.22, 0.66), (0.78, 0.66), (0.46, 0.68)
    saddle, head = (0.37, 0.36), (0.69, 0.34)
    for x, y in (rear, front):
        for spoke in range(8):
            dx, dy = 0.185 * cos(spoke * pi / 8), 0.185 * sin(spoke * pi / 8)
            pen.line([(x - dx, y - dy), (x + dx, y + dy)], Part.METAL, 0.006)
        pen.ring((x, y), 0.205, Part.DARK, 0.032)
        pen.ring((x, y), 0.176, Part.METAL, 0.012)
        pen.ellipse((x, y), 0.03, 0.03, Part.METAL)
    pen.polygon([(0.395, 0.40), (0.685, 0.385), (0.475, 0.655)], Part.BODY)
    tubes = [[rear, bracket], [rear, saddle], [saddle, bracket], [(0.375, 0.40), (0.695, 0.38)]]
    for tube in [*tubes, [bracket, (0.70, 0.39)], [head, front]]:
        pen.line(tube, Part.INK, 0.052)
    for tube in [*tubes, [bracket, (0.70, 0.39)], [head, front]]:
        pen.line(tube, Part.BODY, 0.036)
    pen.line([saddle, (0.355, 0.29)], Part.METAL, 0.024)
    pen.blob([(0.26, 0.27), (0.36, 0.25), (0.47, 0.28), (0.36, 0.31)], Part.DARK)
    pen.line([head, (0.67, 0.25)], Part.METAL, 0.024)
    pen.tube([(0.58, 0.24), (0.67, 0.24), (0.76, 0.22), (0.77, 0.28)], Part.DARK, 0.02)
    pen.ellipse(bracket, 0.055, 0.055, Part.METAL)
    pen.line([(0.44, 0.60), (0.48, 0.76)], Part.DARK, 0.022)
    if basket:
        pen.polygon([(0.73, 0.27), (0.98, 0.25), (0.94, 0.45), (0.76, 0.45)], Part.WOOD)
        for step in range(1, 4):
            pen.line(
                [
                    (0.735 + 0.01 * step, 0.26 + 0.05 * step),
                    (0.97 - 0.01 * step, 0.245 + 0.05 * step),
                ],
                Part.INK,
                0.006,
            )
    return Anchor(0.525, 0.465, 0.084)


def guitar(pen: Pen, electric: bool) -> Anchor:
    """Draw a guitar; in the variant an electric one, with horns and pickups."""
    pen.polygon([(0.465, 0.16), (0.45, 0.02), (0.55, 0.02), (0.535, 0.16)], Part.DARK)
    for y in (0.045, 0.085, 0.125):
        for x in (0.435, 0.565):
            pen.ellipse((x, y), 0.014, 0.012, Part.METAL, 0.004)
    if electric:
        left = [(0.44, 0.52), (0.33, 0.42), (0.30, 0.50), (0.35, 0.62), (0.24, 0.78), (0.34, 0.95)]
        right = [(0.66, 0.95), (0.76, 0.78), (0.65, 0.62), (0.69, 0.53), (0.63, 0.47), (0.56, 0.54)]
    else:
        left = [(0.43, 0.46), (0.31, 0.51), (0.32, 0.62), (0.23, 0.76), (0.31, 0.94)]
        right = [(0.69, 0.94), (0.77, 0.76), (0.68, 0.62), (0.69, 0.51), (0.57, 0.46)]
    pen.blob([*left, (0.5, 0.98), *right], Part.BODY)
    if electric:
        for y in (0.62, 0.72):
            pen.box((0.42, y, 0.58, y + 0.045), Part.METAL, 0.01)
        for x, y in ((0.63, 0.80), (0.66, 0.86)):
            pen.ellipse((x, y), 0.022, 0.022, Part.LIGHT)
    else:
        pen.ellipse((0.5, 0.63), 0.085, 0.08, Part.WOOD)
        pen.ellipse((0.5, 0.63), 0.065, 0.06, Part.DARK)
    pen.polygon([(0.47, 0.15), (0.53, 0.15), (0.54, 0.60), (0.46, 0.60)], Part.WOOD)
    for fret in range(7):
        y = 0.20 + 0.048 * fret
        pen.line([(0.465, y), (0.535, y)], Part.METAL, 0.006)
    pen.box((0.41, 0.80, 0.59, 0.835), Part.DARK, 0.01)
    for string in range(4):
        x = 0.479 + 0.014 * string
        pen.line([(x, 0.05), (x, 0.815)], Part.LIGHT, 0.004)
    return Anchor(0.36, 0.80, 0.09)


def ball(pen: Pen, panels: bool) -> Anchor:
    """Draw a ball with curved seams; with the dark panels of a match ball in the variant."""
    pen.ellipse((0.5, 0.5), 0.42, 0.42, Part.BODY, 0.012)
    if panels:
        for turn in range(5):
            angle = pi / 5 + turn * 2 * pi / 5
            x, y = 0.5 + 0.31 * sin(angle), 0.5 + 0.31 * cos(angle)
            corners = [
                (x + 0.085 * sin(angle + k * 2 * pi / 5), y + 0.085 * cos(angle + k * 2 * pi / 5))
                for k in range(5)
            ]
            pen.polygon(corners, Part.DARK)
            pen.line([(x, y), (0.5 + 0.15 * sin(angle), 0.5 + 0.15 * cos(angle))], Part.INK, 0.012)
    else:
        pen.line([(0.08, 0.5), (0.92, 0.5)], Part.INK, 0.014)
        for side in (-1, 1):
            arc = [
                (0.5 + side * (0.11 + 0.19 * (step / 6) ** 2), 0.5 + 0.047 * step)
                for step in range(-6, 7)
            ]
            pen.line(arc, Part.INK, 0.014)
    return Anchor(0.5, 0.5, 0.144)


def book(pen: Pen, three_volumes: bool) -> Anchor:
    """Draw a book; the first of three volumes in the variant."""
    if three_volumes:
        for shift in (0.18, 0.09):
            pen.box(
                (0.20 + shift, 0.14 - shift * 0.5, 0.70 + shift, 0.90 - shift * 0.5),
                Part.LIGHT,
                0.01,
            )
            pen.box(
                (0.18 + shift, 0.13 - shift * 0.5, 0.68 + shift, 0.88 - shift * 0.5),
                Part.TRIM,
                0.01,
            )
    pen.polygon([(0.22, 0.92), (0.76, 0.92), (0.73, 0.88), (0.18, 0.88)], Part.LIGHT)
    pen.polygon([(0.69, 0.12), (0.74, 0.16), (0.76, 0.92), (0.69, 0.88)], Part.LIGHT)
    pen.box((0.16, 0.12, 0.70, 0.88), Part.BODY, 0.012)
    pen.box((0.16, 0.12, 0.235, 0.88), Part.TRIM, 0.012)
    pen.box((0.29, 0.19, 0.65, 0.34), Part.LIGHT, 0.01)
    pen.line([(0.33, 0.235), (0.61, 0.235)], Part.INK, 0.022)
    pen.line([(0.37, 0.295), (0.57, 0.295)], Part.INK, 0.014)
    return Anchor(0.47, 0.60, 0.138)
