import numpy as np
import pytest
from PIL import Image, ImageDraw

from models.images import measures
from models.images.measures import measure


def of_levels(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(levels.astype(np.uint8)).convert("RGB")


def columns(levels: list[int]) -> Image.Image:
    """64 rows, all alike: what is measured on is then the photo itself."""
    return of_levels(np.tile(np.repeat(levels, 8), (64, 1)))


def test_an_edge_between_two_pixels_is_as_sharp_as_can_be() -> None:
    assert measure(columns([40] * 5 + [200] * 5)).sharpness == pytest.approx(1.0)


def test_an_even_slope_has_an_eighth() -> None:
    slope = of_levels(np.tile(np.arange(64) * 3 + 20, (64, 1)))
    assert measure(slope).sharpness == pytest.approx(1 / 8)


def test_the_worst_direction_counts() -> None:
    """Sharp from left to right, a slope of 4 levels a row from top to bottom."""
    levels = np.add.outer(np.arange(64) * 2, np.repeat([0, 100], 32))
    assert measure(of_levels(levels)).sharpness == pytest.approx(1 / 8)
    assert measure(of_levels(levels.T)).sharpness == pytest.approx(1 / 8)


def test_blur_along_a_diagonal_is_seen() -> None:
    """Levels fall off towards the lower right: only across is there anything to see."""
    across = np.subtract.outer(np.arange(64), np.arange(64))
    edge = np.where(across > 0, 200, 40)
    spread = np.clip(120 + across * 8, 40, 200)  # the same edge over 20 pixels
    for levels in (edge, edge[:, ::-1]):
        assert measure(of_levels(levels)).sharpness > 0.9
    for levels in (spread, spread[:, ::-1]):
        assert measure(of_levels(levels)).sharpness < 0.3


def test_what_is_fainter_than_sixteen_levels_is_no_edge() -> None:
    assert measure(columns([100] * 4 + [115] * 4)).sharpness == 0.0
    assert measure(columns([100] * 4 + [116] * 4)).sharpness == pytest.approx(1.0)


def test_too_small_for_a_line_is_not_called_blurred() -> None:
    assert measure(Image.new("RGB", (8, 8))).sharpness == 1.0


def test_light_by_hand() -> None:
    levels = np.full((64, 100), 200)
    levels[:, :6] = 250  # the brightest 6 %
    levels[:, 6:10] = 60  # the darkest 4 %
    found = measure(of_levels(levels))
    assert found.brightest == 250
    mean = 0.90 * 200 + 0.06 * 250 + 0.04 * 60
    assert found.glare == pytest.approx(0.95 * mean + 0.05 * 60, abs=0.01)
    levels[:, 6:10] = 49
    assert measure(of_levels(levels)).glare == 0.0
    assert found.size == 80.0


def test_all_but_the_size_stays_when_the_photo_is_scaled() -> None:
    scene = Image.new("RGB", (2048, 1536), (180, 170, 160))
    draw = ImageDraw.Draw(scene)
    for n in range(12):
        x, y = 150 * n + 60, (n * 389) % 1300
        draw.ellipse((x, y, x + 260, y + 190), fill=(20 * n, 90, 240 - 18 * n))
    full = measure(scene)
    for side in (192, 300, 480, 777, 1200):
        found = measure(scene.resize((side * 4 // 3, side), Image.Resampling.BOX))
        assert found.size == pytest.approx(side * (4 / 3) ** 0.5, rel=0.01)
        assert found.brightest == pytest.approx(full.brightest, abs=3)
        assert found.glare == pytest.approx(full.glare, abs=3)
        assert found.sharpness == pytest.approx(full.sharpness, abs=0.08)


@pytest.mark.parametrize("size", [(64, 20_000), (20_000, 64), (700, 90_000)])
def test_of_a_strip_no_more_is_analysed_than_of_a_photo(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    analysed: list[tuple[int, ...]] = []
    sharpness = measures._sharpness

    def noted(grey: np.ndarray) -> float:
        analysed.append(grey.shape)
        return sharpness(grey)

    monkeypatch.setattr(measures, "_sharpness", noted)
    measure(Image.new("RGB", size, (128, 128, 128)))
    assert [sorted(shape) for shape in analysed] == [[64, 1280]]
