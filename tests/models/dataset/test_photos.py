"""What identifies the photos of listings: their bytes, and how they look where that can be seen."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from models.dataset.photos import ListingPhotos, look_at_photos
from models.dataset.rows import ListingRow
from models.images.decode import decode_image
from models.images.perceptual_hash import perceptual_hash
from schemas.suggestion import ReuploadReason


def listing(name: str, *images: Path) -> ListingRow:
    return ListingRow(name, None, None, images, None, None, None, None, None, (), {}, None)


def scene(seed: int) -> Image.Image:
    """Large patches of colour with sharp edges."""
    patches = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((144, 144), Image.Resampling.NEAREST)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    scene(1).save(tmp_path / "one.png")
    scene(1).save(tmp_path / "again.jpg", quality=50)
    scene(2).save(tmp_path / "two.png")
    blurred = scene(1).filter(ImageFilter.GaussianBlur(9))
    blurred.save(tmp_path / "blurred.png")
    stream = io.BytesIO()
    scene(3).save(stream, "PNG")
    (tmp_path / "broken.png").write_bytes(stream.getvalue()[:300])
    return tmp_path


@pytest.fixture
def photos(album: Path, backbone: Any) -> ListingPhotos:
    return look_at_photos(
        [
            listing("a", album / "one.png", album / "two.png"),
            listing("b", album / "broken.png", album / "again.jpg"),
            listing("c", album / "blurred.png"),
            listing("d"),
        ],
        backbone,
    )


def test_hashes_are_of_the_photos_without_a_fault(photos: ListingPhotos, album: Path) -> None:
    def look(name: str) -> int:
        return perceptual_hash(decode_image((album / name).read_bytes()))

    assert photos.reasons[2] is ReuploadReason.BLURRED
    assert photos.hashes == [(look("one.png"), look("two.png")), (look("again.jpg"),), (), ()]


def test_digests_are_of_the_photos_that_can_be_read(photos: ListingPhotos, album: Path) -> None:
    def digest(name: str) -> str:
        return hashlib.sha256((album / name).read_bytes()).hexdigest()

    assert photos.digests == [
        (digest("one.png"), digest("two.png")),
        (digest("again.jpg"),),
        (digest("blurred.png"),),
        (),
    ]


def test_a_photo_saved_again_has_a_key_in_common_with_itself(photos: ListingPhotos) -> None:
    first, again, blurred, none = map(set, photos.keys())
    assert len(first) == 4
    assert len(first & again) == 1
    assert blurred == set(photos.digests[2])
    assert none == set()


def test_some_of_the_listings_in_another_order(photos: ListingPhotos) -> None:
    some = photos.take(np.array([2, 0]))
    np.testing.assert_array_equal(some.features, photos.features[[2, 0]])
    assert some.readable.tolist() == [True, True]
    assert some.sound.tolist() == [False, True]
    assert some.reasons == [photos.reasons[2], photos.reasons[0]]
    assert some.digests == [photos.digests[2], photos.digests[0]]
    assert some.hashes == [photos.hashes[2], photos.hashes[0]]
