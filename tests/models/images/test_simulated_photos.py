"""Photos of the simulator: each fault is found for what it is, and sound ones pass."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from models.images.decode import decode_image
from models.images.faults import judge
from models.images.measures import measure
from models.images.spoiling import defocus, expose, shake
from schemas.suggestion import ReuploadReason
from simulator.catalogue import CATEGORIES
from simulator.photos.camera import PhotoFault
from simulator.photos.studio import photograph
from simulator.things import draw_thing

FAULTS = [fault for fault in PhotoFault if fault is not PhotoFault.NOT_SHOWN]
OF_EACH = 42
SOUND = 100


@cache
def photo(number: int, fault: PhotoFault | None) -> Image.Image:
    """Photo `number`: other things, places and light for each."""
    rng = np.random.default_rng((31, number))
    thing = draw_thing(rng, CATEGORIES[number % len(CATEGORIES)])
    return decode_image(photograph(thing, fault, rng, rng))


@pytest.mark.parametrize("fault", FAULTS)
def test_nine_in_ten_are_sent_back_for_the_right_reason(fault: PhotoFault) -> None:
    found = [judge(photo(number, fault)) for number in range(OF_EACH)]
    right = sum(bool(faults) and faults[0].code == fault.value for faults in found)
    assert right >= 0.9 * OF_EACH


def test_at_most_three_sound_photos_in_a_hundred_are_sent_back() -> None:
    refused = [number for number in range(SOUND) if judge(photo(number, None))]
    assert len(refused) <= 0.03 * SOUND


def test_more_blur_is_less_sharp() -> None:
    amounts = (0.0, 0.01, 0.02, 0.03, 0.05)
    focus = [
        np.mean([measure(defocus(photo(n, None), share)).sharpness for n in range(20)])
        for share in amounts
    ]
    moved = [
        np.mean([measure(shake(photo(n, None), share, 20 * n)).sharpness for n in range(12)])
        for share in (0.02, 0.05, 0.1)
    ]
    for sharpness in (focus, moved):
        assert all(more < less - 0.02 for less, more in pairwise(sharpness))


def test_less_light_is_darker_and_more_is_brighter_of_every_photo() -> None:
    for number in range(15):
        dim = [measure(expose(photo(number, None), gain)).brightest for gain in (0.05, 0.2, 0.6)]
        lit = [measure(expose(photo(number, None), 2, lift)).glare for lift in (0, 60, 120, 180)]
        assert dim == sorted(dim)
        assert lit == sorted(lit)


@pytest.mark.parametrize("shorter", [130, 333, 1000])
def test_a_verdict_does_not_hang_on_the_resolution(shorter: int) -> None:
    for fault in (None, PhotoFault.BLURRED, PhotoFault.TOO_DARK, PhotoFault.TOO_BRIGHT):
        kept = 0
        for number in range(10):
            original = photo(number, fault)
            factor = shorter / min(original.size)
            size = (round(original.width * factor), round(original.height * factor))
            scaled = judge(original.resize(size, Image.Resampling.LANCZOS))
            kept += [f.code for f in scaled] == [f.code for f in judge(original)]
        assert kept >= 9


def test_a_tenth_of_the_size_is_too_small() -> None:
    small = [photo(number, None).reduce(10) for number in range(10)]
    assert all(judge(each)[0].code is ReuploadReason.LOW_RESOLUTION for each in small)
