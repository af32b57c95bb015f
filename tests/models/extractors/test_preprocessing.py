import numpy as np
import pytest
from PIL import Image

from models.extractors.lite2 import Lite2
from models.extractors.preprocessing import Preprocessing
from models.extractors.resnet import ResNet50


@pytest.mark.parametrize(
    ("backbone", "size", "expected"),
    [
        (Lite2(), 260, [(200 - 127) / 128, (100 - 127) / 128, (0 - 127) / 128]),
        # the means and deviations of ImageNet, as torchvision states them on 0 to 1
        (
            ResNet50(),
            224,
            [(200 / 255 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224, (0 - 0.406) / 0.225],
        ),
    ],
)
def test_pixels_are_scaled_as_the_weights_were_trained(
    backbone: Lite2 | ResNet50, size: int, expected: list[float]
) -> None:
    pixels = backbone.preprocess(Image.new("RGB", (300, 170), (200, 100, 0)))
    assert pixels.dtype == np.float32
    assert pixels.shape == (3, size, size)
    assert pixels.flags.c_contiguous
    assert backbone.input_size == size
    for channel, value in zip(pixels, expected, strict=True):
        np.testing.assert_allclose(channel, value, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (400, 100), (100, 400), (4000, 3000)])
def test_the_whole_photo_is_squashed(size: tuple[int, int]) -> None:
    """The four quarters of any photo are the four quarters of the input."""
    image = Image.new("RGB", size, (0, 0, 0))
    image.paste((255, 0, 0), (size[0] // 2, 0, size[0], size[1] // 2))
    image.paste((0, 255, 0), (0, size[1] // 2, size[0] // 2, size[1]))
    image.paste((0, 0, 255), (size[0] // 2, size[1] // 2, *size))
    pixels = Lite2().preprocess(image)
    low, high = -127 / 128, 1.0
    for y, x, colour in (
        (32, 32, (low, low, low)),
        (32, 227, (high, low, low)),
        (227, 32, (low, high, low)),
        (227, 227, (low, low, high)),
    ):
        np.testing.assert_allclose(pixels[:, y, x], colour, atol=0.12)


def test_fingerprint_tells_every_setting_apart() -> None:
    settings = {"size": 8, "mean": (0.0, 1.0, 2.0), "std": (1.0, 1.0, 1.0), "resample": "bicubic"}
    others = [
        settings,
        settings | {"size": 9},
        settings | {"mean": (0.0, 1.0, 2.5)},
        settings | {"std": (1.0, 1.0, 2.0)},
        settings | {"resample": "bilinear"},
    ]
    prints = [Preprocessing(**each).fingerprint for each in others]  # type: ignore[arg-type]
    assert len(set(prints)) == 5
    assert Preprocessing(**settings).fingerprint == prints[0]  # type: ignore[arg-type]
