"""One photo of one thing: drawn, painted, worn, laid on a background and photographed."""

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from simulator.photos.backgrounds import BACKGROUNDS, background, cast_shadow
from simulator.photos.camera import PhotoFault, expose
from simulator.photos.marks import draw_mark
from simulator.photos.pen import CANVAS, Pen
from simulator.photos.shapes import SHAPES
from simulator.photos.surfaces import paint
from simulator.photos.wear import wear_down
from simulator.things import Thing

_SIZES = ((640, 480), (640, 480), (480, 640), (560, 560))
_EMPTY_SCENE_SHARE = 0.5  # of the photos that do not show the thing; the others show a parcel


def photograph(
    thing: Thing,
    fault: PhotoFault | None,
    look: np.random.Generator,
    shot: np.random.Generator,
    backgrounds: tuple[str, ...] = BACKGROUNDS,
) -> bytes:
    """Return a JPEG of the thing, about 640 x 480 pixels.

    `look` draws what belongs to the thing itself, so that two photos from generators of the same
    state show the same stripes and scratches; `shot` draws the place, the angle and the light.
    """
    size = _SIZES[shot.integers(len(_SIZES))]
    scene = background(backgrounds[shot.integers(len(backgrounds))], size, shot)
    shown = fault is not PhotoFault.NOT_SHOWN
    if shown or shot.random() >= _EMPTY_SCENE_SHARE:
        image, outline = _thing(thing, look) if shown else _parcel(look)
        scene = _lay(scene, image, outline, shot)
    return expose(scene, fault, shot)


def _thing(thing: Thing, look: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    pen = Pen()
    anchor = SHAPES[thing.category.shape](pen, thing.variant)
    painted = paint(pen.image, thing.colour, thing.pattern, thing.material, look)
    solid = pen.image.point([0] + [255] * 255)
    if thing.brand is not None:
        draw_mark(ImageDraw.Draw(painted), thing.brand, anchor)
    return wear_down(painted, solid, thing.condition, look), solid


def _parcel(look: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    pen = Pen()
    SHAPES["box"](pen, bool(look.random() < 0.5))
    painted = paint(pen.image, "brown", "plain", "plastic", look)
    return painted, pen.image.point([0] + [255] * 255)


def _lay(
    scene: Image.Image, thing: Image.Image, outline: Image.Image, shot: np.random.Generator
) -> Image.Image:
    span = min(scene.size) * float(shot.uniform(0.82, 1.02))
    stretch = float(shot.uniform(0.95, 1.05))
    if shot.random() < 0.4:
        thing, outline = ImageOps.mirror(thing), ImageOps.mirror(outline)
    turn = float(np.clip(shot.normal(0, 0.16), -0.4, 0.4))
    affine, size = _turn(outline.getbbox(), span, stretch, turn)
    thing, outline = (
        image.transform(size, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
        for image in (thing, outline)
    )
    room = (scene.width - thing.width, scene.height - thing.height)
    place = (_spot(room[0], shot), _spot(room[1], shot))
    scene = cast_shadow(scene, outline, place, shot)
    scene.paste(thing, place, outline)
    return scene


def _turn(
    box: tuple[int, int, int, int] | None, span: float, stretch: float, turn: float
) -> tuple[tuple[float, ...], tuple[int, int]]:
    """Return the map from the photo to the canvas, and the size, that hold the turned box.

    The whole canvas would be `span` pixels wide; `turn` is in radians.
    """
    left, top, right, bottom = box or (0, 0, CANVAS, CANVAS)
    scale = span / CANVAS
    cos, sin = np.cos(turn), np.sin(turn)
    forward = scale * np.array([[stretch * cos, -stretch * sin], [sin / stretch, cos / stretch]])
    extent = np.abs(forward) @ np.array([right - left, bottom - top]) + 2
    back = np.linalg.inv(forward)
    shift = np.array([left + right, top + bottom]) / 2 - back @ (extent / 2)
    affine = (*back[0], shift[0], *back[1], shift[1])
    return tuple(map(float, affine)), (int(np.ceil(extent[0])), int(np.ceil(extent[1])))


def _spot(room: int, shot: np.random.Generator) -> int:
    # a thing may be cut off a little at the side of the photo, as people do
    slack = max(room, 12)
    return int(shot.uniform(-0.04 * slack, 1.04 * slack)) if room > 0 else room // 2
