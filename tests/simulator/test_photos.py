from dataclasses import replace
from functools import cache
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw

from simulator.catalogue import (
    BRANDS,
    CATEGORIES,
    COLOURS,
    CONDITIONS,
    MATERIALS,
    PATTERNS,
    brands_of,
)
from simulator.photos.backgrounds import BACKGROUNDS
from simulator.photos.camera import PhotoFault
from simulator.photos.marks import draw_mark
from simulator.photos.pen import CANVAS, Anchor, Part, Pen
from simulator.photos.shapes import SHAPES
from simulator.photos.studio import photograph
from simulator.things import Thing

Pixels = np.ndarray

THINGS = [
    Thing(each, brands_of(each)[3], "blue", "plain", each.materials[0], "as new", False, 1)
    for each in CATEGORIES
]


@cache
def jpeg(
    thing: Thing,
    fault: PhotoFault | None = None,
    seed: int = 4,
    backgrounds: tuple[str, ...] = BACKGROUNDS,
) -> bytes:
    look, shot = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    return photograph(thing, fault, look, shot, backgrounds)


def grey(data: bytes) -> Pixels:
    return np.asarray(Image.open(BytesIO(data)).convert("L"), np.float32)


def colours(data: bytes) -> Pixels:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"), np.float32)


def changed(one: Thing, other: Thing) -> float:
    """Return the share of pixels that differ clearly between photos from the same place."""
    difference = np.abs(colours(jpeg(one)) - colours(jpeg(other))).max(axis=2)
    return float((difference > 40).mean())


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: thing.category.noun)
def test_whatever_moves_the_price_is_to_be_seen(thing: Thing) -> None:
    maker = brands_of(thing.category)[1]
    assert changed(thing, replace(thing, colour="yellow")) > 0.01
    assert changed(thing, replace(thing, pattern="dotted")) > 0.002
    assert changed(thing, replace(thing, condition="damaged")) > 0.01
    assert changed(thing, replace(thing, variant=True)) > 0.005
    assert changed(thing, replace(thing, brand=maker)) > 0.001
    assert changed(thing, replace(thing, brand=None)) > 0.004
    for material in thing.category.materials[1:]:
        assert jpeg(thing) != jpeg(replace(thing, material=material))
    assert jpeg(thing) == jpeg(replace(thing, hidden=2))


def test_wear_grows_from_one_condition_to_the_next() -> None:
    for thing in THINGS[::3]:
        wear = [changed(thing, replace(thing, condition=name)) for name in CONDITIONS]
        assert wear[0] == 0
        assert wear[0] < wear[1] < wear[2] < wear[3]


def test_the_same_random_numbers_give_the_same_photo() -> None:
    thing = THINGS[0]
    first = jpeg(thing)
    jpeg.cache_clear()
    assert jpeg(thing) == first
    assert jpeg(thing) != jpeg(thing, seed=5)


def test_every_background_and_quality_can_be_drawn() -> None:
    for place in BACKGROUNDS:
        assert grey(jpeg(THINGS[1], backgrounds=(place,))).std() > 5
    for colour in COLOURS:
        for pattern in PATTERNS:
            assert jpeg(replace(THINGS[2], colour=colour, pattern=pattern))
    materials = {material for each in CATEGORIES for material in each.materials}
    assert materials == set(MATERIALS)


def test_photos_have_the_size_of_photos() -> None:
    sizes = {Image.open(BytesIO(jpeg(THINGS[0], seed=seed))).size for seed in range(12)}
    assert sizes == {(640, 480), (480, 640), (560, 560)}


def sharpness(data: bytes) -> float:
    # half the size first, so that the grain of the sensor does not count as detail
    small = Image.open(BytesIO(data)).convert("L").reduce(2)
    pixels = np.asarray(small, np.float32)
    return float(np.quantile(np.abs(np.diff(pixels, axis=1)), 0.99))


def test_faults_are_beyond_what_sound_photos_have() -> None:
    sound = [jpeg(thing, seed=seed) for seed, thing in enumerate(THINGS)]
    spoilt = {
        fault: [jpeg(thing, fault, seed=seed) for seed, thing in enumerate(THINGS)]
        for fault in PhotoFault
    }
    assert max(grey(each).mean() for each in spoilt[PhotoFault.TOO_DARK]) < 20
    assert min(grey(each).mean() for each in spoilt[PhotoFault.TOO_BRIGHT]) > 235
    assert all(45 < grey(each).mean() < 215 for each in sound)
    assert max(map(sharpness, spoilt[PhotoFault.BLURRED])) < min(map(sharpness, sound)) / 2
    areas = [grey(each).size for each in spoilt[PhotoFault.LOW_RESOLUTION]]
    assert max(areas) < 80 * 80


def test_a_photo_that_does_not_show_the_thing_says_nothing_of_it() -> None:
    for seed in range(8):
        first, *others = (
            jpeg(thing, PhotoFault.NOT_SHOWN, seed=seed) for thing in (THINGS[0], THINGS[5])
        )
        assert others == [first]


def test_no_two_makers_have_the_same_mark() -> None:
    marks = []
    for brand in (each for makers in BRANDS.values() for each in makers):
        image = Image.new("RGB", (CANVAS, CANVAS))
        draw_mark(ImageDraw.Draw(image), brand, Anchor(0.5, 0.5, 0.4))
        marks.append(np.asarray(image.reduce(8), np.float32))
    for index, mark in enumerate(marks):
        for other in marks[:index]:
            assert (np.abs(mark - other).max(axis=2) > 60).mean() > 0.03


@pytest.mark.parametrize("variant", [False, True])
@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.noun)
def test_shapes_fill_their_square_and_carry_their_mark(category: object, variant: bool) -> None:
    shape = next(each.shape for each in CATEGORIES if each is category)
    pen = Pen()
    anchor = SHAPES[shape](pen, variant)
    parts = np.asarray(pen.image)
    assert 0.08 < (parts != Part.NOTHING).mean() < 0.8
    assert (parts == Part.BODY).mean() > 0.02
    assert not parts[[0, -1]].any()
    rows, columns = np.nonzero(parts)
    assert max(np.ptp(rows), np.ptp(columns)) > 0.7 * CANVAS
    y, x = np.mgrid[0:CANVAS, 0:CANVAS] / CANVAS
    under = parts[(x - anchor.x) ** 2 + (y - anchor.y) ** 2 < anchor.radius**2]
    assert (under != Part.NOTHING).mean() > 0.9
