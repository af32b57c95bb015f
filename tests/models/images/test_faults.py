from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from models.images.faults import judge
from schemas.suggestion import ReuploadReason

Render = Callable[..., Image.Image]
Spoil = Callable[[Image.Image], Image.Image]


def times(image: Image.Image, factor: float) -> Image.Image:
    values = np.asarray(image, np.float32) * factor
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def out_of_focus(image: Image.Image, share: float = 0.04) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(share * min(image.size)))


def shaken(image: Image.Image) -> Image.Image:
    """Moved sideways by a tenth of the height while the shutter was open."""
    return image.filter(ImageFilter.BoxBlur((image.height / 20, 0)))


def noisy(image: Image.Image) -> Image.Image:
    noise = np.random.default_rng(5).normal(0, 6, (image.height, image.width, 3))
    values = np.asarray(image, np.float32) + noise
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def veiled(image: Image.Image) -> Image.Image:
    return Image.fromarray(255 - np.asarray(times(Image.fromarray(255 - np.asarray(image)), 0.08)))


def as_jpeg(image: Image.Image) -> Image.Image:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=50)
    return Image.open(buffer).convert("RGB")


def codes(image: Image.Image) -> list[ReuploadReason]:
    return [fault.code for fault in judge(image)]


@pytest.mark.parametrize("size", [(160, 120), (256, 256), (640, 480), (480, 640), (1600, 1200)])
@pytest.mark.parametrize("seed", range(6))
def test_sound_photos_pass_at_any_size(render: Render, size: tuple[int, int], seed: int) -> None:
    photo = render(*size, seed=seed)
    assert judge(photo) == ()
    assert judge(as_jpeg(photo)) == ()
    assert judge(noisy(photo)) == ()


@pytest.mark.parametrize("size", [(160, 120), (640, 480), (900, 1200)])
@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (out_of_focus, ReuploadReason.BLURRED),
        (shaken, ReuploadReason.BLURRED),
        (lambda image: noisy(out_of_focus(image)), ReuploadReason.BLURRED),
        (lambda image: times(image, 0.08), ReuploadReason.TOO_DARK),
        (lambda image: noisy(times(image, 0.08)), ReuploadReason.TOO_DARK),
        (veiled, ReuploadReason.TOO_BRIGHT),
    ],
)
def test_spoiled_photos_are_told_apart(
    render: Render, size: tuple[int, int], spoil: Spoil, code: ReuploadReason
) -> None:
    for seed in range(3):
        spoiled = spoil(render(*size, seed=seed))
        assert codes(spoiled) == [code]
        assert codes(as_jpeg(spoiled)) == [code]


def test_burnt_out_by_the_flash(render: Render) -> None:
    lightest = np.maximum(np.asarray(render()), 30)  # skin, cloth, walls: nothing quite black
    assert codes(Image.fromarray(lightest.astype(np.uint8))) == []
    assert codes(times(Image.fromarray(lightest), 9)) == [ReuploadReason.TOO_BRIGHT]


def test_size_counts_by_area() -> None:
    noise = np.random.default_rng(2).integers(0, 255, (400, 400, 3), np.uint8)
    for width, height, expected in (
        (76, 77, [ReuploadReason.LOW_RESOLUTION]),
        (77, 77, []),
        (32, 32, [ReuploadReason.LOW_RESOLUTION]),
        (30, 256, []),
        (8, 8, [ReuploadReason.LOW_RESOLUTION]),
    ):
        assert codes(Image.fromarray(noise[:width, :height].transpose(1, 0, 2))) == expected


def test_dark_thing_on_dark_ground_passes(render: Render) -> None:
    """A black coat on a black sofa: nothing above a quarter of white but folds that shine."""
    assert codes(times(render(), 0.3)) == []


def test_white_thing_on_white_ground_passes() -> None:
    """What is white is not white all over: it is lit from one side."""
    levels = np.full((600, 600), 255)
    levels[120:500, 80:520] = np.linspace(250, 180, 440)
    levels[440:470, 120:480] = 165
    assert codes(Image.fromarray(levels.astype(np.uint8)).convert("RGB")) == []


def test_small_dark_thing_cut_out_on_pure_white_passes() -> None:
    image = Image.new("RGB", (600, 400), "white")
    ImageDraw.Draw(image).line((60, 340, 540, 60), fill=(25, 25, 30), width=44)
    assert codes(image) == []


@pytest.mark.parametrize("upright", [True, False])
def test_sharp_stripes_pass(upright: bool) -> None:
    """Along a stripe there is nothing to see, so that axis has no say."""
    stripe = np.where(np.arange(512) // 40 % 2, 200, 60).astype(np.uint8)
    grey = np.broadcast_to(stripe, (384, 512))
    image = Image.fromarray(grey if upright else np.ascontiguousarray(grey.T)).convert("RGB")
    assert codes(image) == []
    assert codes(out_of_focus(image)) == [ReuploadReason.BLURRED]


@pytest.mark.parametrize(
    ("level", "code"),
    [
        (0, ReuploadReason.TOO_DARK),
        (128, ReuploadReason.BLURRED),
        (255, ReuploadReason.TOO_BRIGHT),
    ],
)
def test_an_empty_frame_has_one_fault_of_full_weight(level: int, code: ReuploadReason) -> None:
    (fault,) = judge(Image.new("RGB", (300, 200), (level,) * 3))
    assert (fault.code, fault.weight) == (code, 1.0)


def test_weight_grows_with_the_fault(render: Render) -> None:
    photo = render()
    blurs = [judge(out_of_focus(photo, share))[0].weight for share in (0.012, 0.02, 0.04)]
    darks = [judge(times(photo, factor))[0].weight for factor in (0.12, 0.08, 0.02)]
    for weights in (blurs, darks):
        assert weights == sorted(weights)
        assert 0 < weights[0] < weights[-1] <= 1


def test_worst_first(render: Render) -> None:
    tiny_and_dark = times(render(76, 76), 0.02)
    assert codes(tiny_and_dark) == [ReuploadReason.TOO_DARK, ReuploadReason.LOW_RESOLUTION]
    darkish_and_tiny = times(render(20, 20), 0.12)
    assert codes(darkish_and_tiny) == [ReuploadReason.LOW_RESOLUTION, ReuploadReason.TOO_DARK]


@pytest.mark.parametrize("size", [(8, 8), (8, 3000), (3000, 8), (9, 100)])
def test_odd_shapes_are_judged(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (size[1], size[0], 3), np.uint8)
    assert ReuploadReason.BLURRED not in codes(Image.fromarray(noise))
