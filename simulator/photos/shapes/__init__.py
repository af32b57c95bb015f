"""The outlines of the things, one function a category, in a unit square."""

from collections.abc import Callable

from simulator.photos.pen import Anchor, Pen
from simulator.photos.shapes import clothing, electronics, home, leisure

Shape = Callable[[Pen, bool], Anchor]
"""Draws a thing and returns where its brand mark goes. The flag is the visible variant, such as
long sleeves: the first value of `Category.variant` when false, the second when true."""

SHAPES: dict[str, Shape] = {
    "shoe": clothing.shoe,
    "shirt": clothing.shirt,
    "bag": clothing.bag,
    "watch": clothing.watch,
    "phone": electronics.phone,
    "laptop": electronics.laptop,
    "camera": electronics.camera,
    "headphones": electronics.headphones,
    "lamp": home.lamp,
    "chair": home.chair,
    "teapot": home.teapot,
    "sofa": home.sofa,
    "bicycle": leisure.bicycle,
    "guitar": leisure.guitar,
    "ball": leisure.ball,
    "book": leisure.book,
    "box": home.closed_box,
}
