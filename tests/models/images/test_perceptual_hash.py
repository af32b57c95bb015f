import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from models.images.perceptual_hash import perceptual_hash


def scene(seed: int, side: int = 240) -> Image.Image:
    """Soft patches of colour: a photo out of focus."""
    patches = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((side, side), Image.Resampling.BICUBIC)


def saved_again(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=40)
    return Image.open(stream).convert("RGB")


def by_hand(image: Image.Image) -> int:
    """pHash by its definition: 8 x 8 lowest frequencies of 32 x 32 grey pixels, over the median."""
    grey = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS), np.float64)
    place, frequency = np.meshgrid(np.arange(32), np.arange(8))
    waves = np.cos(np.pi * frequency * (2 * place + 1) / 64)
    spectrum = waves @ grey @ waves.T
    bits = (spectrum > np.median(spectrum)).ravel()
    return sum(1 << (63 - n) for n in range(64) if bits[n])


@pytest.mark.parametrize("seed", range(5))
def test_the_definition(seed: int) -> None:
    assert perceptual_hash(scene(seed)) == by_hand(scene(seed))


@pytest.mark.parametrize("seed", range(5))
def test_a_photo_saved_anew_differs_in_few_bits_and_another_in_many(seed: int) -> None:
    photo = scene(seed)
    changed = [
        saved_again(photo),
        photo.resize((120, 120)),
        ImageEnhance.Color(photo).enhance(1.3),
        ImageEnhance.Brightness(photo).enhance(0.9),
    ]
    for image in changed:
        assert (perceptual_hash(photo) ^ perceptual_hash(image)).bit_count() <= 4
    assert (perceptual_hash(photo) ^ perceptual_hash(scene(seed + 100))).bit_count() >= 12
