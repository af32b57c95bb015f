"""Photos of examples: fetched and decoded once, kept by their bytes, left out where gone."""

import base64
import hashlib
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.dataset.photos import look_at_photos
from models.errors import ModelsError
from models.image_networks import ImageNetworks, new_networks
from schemas.image import ImageReference
from tests.workers.retrain.conftest import Shop, fetcher_below, make_example
from workers.errors import WorkersError
from workers.examples.example import Example
from workers.retrain.photos import PhotoShelf, Pictured
from workers.suggest.fetch import Fetcher


@pytest.fixture(scope="session")
def images(colour_backbone: Any, tmp_path_factory: pytest.TempPathFactory) -> ImageNetworks:
    """The colours of a photo's quarters, exported."""
    folder = tmp_path_factory.mktemp("networks")
    return new_networks(
        None,  # type: ignore[arg-type]  # nothing is tuned
        [],
        folder,
        backbone=colour_backbone,
        tuning=None,
        seed=0,
        report=lambda *_: None,
    )


@pytest.fixture
def fetched(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses of all photos that are asked for."""
    asked: list[str] = []
    fetch = Fetcher.fetch

    async def watched(self: Fetcher, reference: ImageReference, **options: Any) -> bytes:
        asked.append(reference.uri)
        return await fetch(self, reference, **options)

    monkeypatch.setattr(Fetcher, "fetch", watched)
    return asked


@pytest.fixture
def look(shop: Shop, tmp_path: Path, images: ImageNetworks) -> Callable[..., Pictured]:
    """Looks at examples with a shelf that is the same each time."""

    def run(examples: list[Example], networks: ImageNetworks = images) -> Pictured:
        shelf = PhotoShelf(tmp_path / "shelf", lambda: fetcher_below(shop.folder))
        return shelf.look(examples, networks, progress=lambda *_: None)

    return run


def data_uri(image: Image.Image) -> str:
    stream = BytesIO()
    image.save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def test_they_are_as_training_from_a_dataset_sees_them(
    look: Callable[..., Pictured], shop: Shop, colour_backbone: Any
) -> None:
    examples = list(shop.examples[:12])
    two = (*examples[0].images, *examples[1].images)
    examples[0] = examples[0].model_copy(update={"images": two})
    found = look(examples)
    expected = look_at_photos(found.listings, colour_backbone)
    np.testing.assert_allclose(found.photos.features, expected.features, atol=1e-4)
    assert found.photos.sound.tolist() == expected.sound.tolist()
    assert found.photos.keys() == expected.keys()
    assert found.photos.faultless == expected.faultless
    assert len(found.photos.digests[0]) == 2


def test_what_was_looked_at_is_neither_fetched_nor_decoded_again(
    look: Callable[..., Pictured],
    shop: Shop,
    fetched: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    examples = list(shop.examples[:20])
    content = (shop.folder / "images" / "3.jpg").read_bytes()
    known = ImageReference(
        uri=examples[3].images[0].uri, sha256=hashlib.sha256(content).hexdigest()
    )
    examples[3] = examples[3].model_copy(update={"images": (known,)})
    first = look(examples)
    assert sorted(fetched) == sorted(each.images[0].uri for each in examples)
    fetched.clear()
    shutil.rmtree(tmp_path / "shelf" / "photos")
    monkeypatch.setattr("models.extractors.extraction.decode_image", None)

    again = look(examples)

    assert fetched == []
    np.testing.assert_array_equal(again.photos.features, first.photos.features)
    assert again.photos.keys() == first.photos.keys()
    assert again.photos.reasons == first.photos.reasons
    # a damaged look is no look: its photo is fetched anew
    monkeypatch.undo()
    victim = next((tmp_path / "shelf" / "looks").rglob("*.look"))
    victim.write_bytes(victim.read_bytes()[:-3])
    look(examples)


def test_faults_are_remembered_and_photos_that_cannot_be_read_are_answers(
    look: Callable[..., Pictured],
) -> None:
    dark = Image.fromarray(np.full((96, 96, 3), 3, np.uint8))
    examples = [
        make_example(0, images=(ImageReference(uri=data_uri(dark)),)),
        make_example(1, images=(ImageReference(uri="data:image/png;base64,aGVsbG8="),)),
    ]
    for _ in range(2):
        found = look(examples)
        assert [str(reason) for reason in found.photos.reasons] == ["too_dark", "unreadable"]
        assert found.photos.readable.tolist() == [True, False]
        assert found.photos.sound.tolist() == [False, False]


def test_a_listing_whose_photos_are_gone_is_left_out_and_many_are_an_error(
    look: Callable[..., Pictured], shop: Shop, tmp_path: Path
) -> None:
    gone = ImageReference(uri=(shop.folder / "images" / "gone.jpg").as_uri())
    outside = ImageReference(uri=(tmp_path / "secret.jpg").as_uri())
    (tmp_path / "secret.jpg").write_bytes((shop.folder / "images" / "3.jpg").read_bytes())
    examples = list(shop.examples[:4])
    both = (*examples[0].images, gone)
    examples[0] = examples[0].model_copy(update={"images": both})
    examples[1] = examples[1].model_copy(update={"images": (gone,)})
    examples[2] = examples[2].model_copy(update={"images": (outside,)})
    found = look(examples)
    assert [each.listing_id for each in found.examples] == [
        examples[0].listing_id,
        examples[3].listing_id,
    ]
    assert [len(each.images) for each in found.listings] == [1, 1]
    with pytest.raises(WorkersError, match="photos of 3 of 4 listings cannot be had"):
        look([*examples[1:], make_example(9)])


def test_a_shelf_that_cannot_be_written_says_so(
    shop: Shop, tmp_path: Path, images: ImageNetworks
) -> None:
    (tmp_path / "file").write_text("no folder")
    shelf = PhotoShelf(tmp_path / "file", lambda: fetcher_below(shop.folder))
    with pytest.raises(ModelsError, match="cannot be written"):
        shelf.look(shop.examples[:2], images, progress=lambda *_: None)


def test_the_files_themselves_are_for_training_extractors(
    shop: Shop, tmp_path: Path, fetched: list[str]
) -> None:
    shelf = PhotoShelf(tmp_path / "shelf", lambda: fetcher_below(shop.folder))
    for _ in range(2):
        rows = shelf.with_files(shop.examples[:5], progress=lambda *_: None)
        assert [row.images[0].read_bytes() for row in rows] == [
            (shop.folder / "images" / f"{number}.jpg").read_bytes() for number in range(5)
        ]
    assert len(fetched) == 5
