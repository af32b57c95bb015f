from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from models.images.spoiling import SPOILINGS, add_noise, expose, save, shake, shrink

Render = Callable[..., Image.Image]


def test_a_shaken_point_becomes_a_line() -> None:
    point = np.zeros((60, 80, 3), np.uint8)
    point[30, 40] = 240
    photo = Image.fromarray(point)
    level = np.asarray(shake(photo, 0.1, 0))[..., 0]
    assert level.max() == 240 // 6  # spread over six pixels, a tenth of the shorter side
    assert np.unique(np.nonzero(level)[0]).tolist() == [30]
    assert np.ptp(np.nonzero(level)[1]) == 5
    upright = np.asarray(shake(photo, 0.1, 90))[..., 0]
    assert np.unique(np.nonzero(upright)[1]).tolist() == [40]
    rows, across = np.nonzero(np.asarray(shake(photo, 0.2, 45))[..., 0])
    assert rows.tolist() == sorted(rows.tolist())
    assert np.ptp(rows) == np.ptp(across) == 8  # 11 steps, each of 0.71 pixels both ways


def test_a_plain_photo_cannot_be_shaken() -> None:
    plain = Image.new("RGB", (64, 48), (90, 120, 150))
    assert shake(plain, 0.1, 33).tobytes() == plain.tobytes()


@pytest.mark.parametrize(
    ("gain", "lift", "expected"), [(0.5, 0, 50), (20, 0, 255), (2, 30, 230), (0.08, 234.6, 242)]
)
def test_exposure(gain: float, lift: float, expected: int) -> None:
    assert expose(Image.new("RGB", (4, 4), (100,) * 3), gain, lift).getpixel((1, 1)) == (
        (expected,) * 3
    )


def test_noise_has_the_spread_asked_for() -> None:
    grey = Image.new("RGB", (200, 200), (128,) * 3)
    noisy = np.asarray(add_noise(grey, 6, np.random.default_rng(1)), float)
    assert noisy.std() == pytest.approx(6, abs=0.2)


def test_shrinking_keeps_the_shape_and_eight_pixels() -> None:
    assert shrink(Image.new("RGB", (640, 480)), 0.1).size == (64, 48)
    assert shrink(Image.new("RGB", (640, 48)), 0.1).size == (64, 8)


def test_every_way_alters_the_photo_and_depends_on_the_numbers_only(render: Render) -> None:
    photo = render(160, 120)
    for way in SPOILINGS.values():
        first, again = (way.spoil(photo, np.random.default_rng(7)) for _ in range(2))
        assert first.tobytes() == again.tobytes() != photo.tobytes()
        assert save(first, np.random.default_rng(7)).size == first.size
