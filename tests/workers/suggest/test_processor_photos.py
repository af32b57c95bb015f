from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from schemas.suggestion import PriceSuggested
from workers.suggest.processor import SuggestProcessor

if TYPE_CHECKING:
    from tests.workers.suggest.conftest import PhotoHost, Scene


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def grey(level: int) -> bytes:
    return encoded(Image.new("RGB", (16, 16), (level, level, level)))


def _gif() -> bytes:
    frames = [Image.new("L", (16, 16), level) for level in (120, 0, 255)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("data", "level"),
    [
        (grey(120), 120),
        (encoded(Image.new("L", (16, 16), 120)), 120),
        (encoded(Image.new("RGB", (640, 480), (120, 120, 120)), "JPEG"), 120),
        (encoded(Image.new("CMYK", (16, 16), (0, 0, 0, 135)), "JPEG"), 120),
        (encoded(Image.fromarray(np.full((16, 16), 120 * 257, np.uint16))), 120),
        (_gif(), 120),
    ],
    ids=["rgb", "grey", "jpeg", "cmyk", "16-bit", "animated"],
)
def test_sound_photos_of_any_kind_are_priced(
    scene: Scene, processor: SuggestProcessor, data: bytes, level: int
) -> None:
    (event,) = scene.answers(processor, scene.record(scene.enriched(scene.data_uri(data))))

    assert isinstance(event, PriceSuggested), event
    assert event.price_minor == pytest.approx(level * 10, abs=20)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>not a photo</html>",
        grey(120)[:-30],
        encoded(Image.new("RGB", (640, 480), (120, 120, 120)), "JPEG")[:700],
        encoded(Image.new("1", (20_000, 20_000))),
    ],
    ids=["empty", "html", "truncated png", "truncated jpeg", "20,000 x 20,000"],
)
def test_photos_that_cannot_be_read_are_asked_for_again(
    scene: Scene, processor: SuggestProcessor, data: bytes
) -> None:
    (event,) = scene.answers(processor, scene.record(scene.enriched(scene.data_uri(data))))

    assert scene.reasons(event) == [("unreadable", 0)]


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/photo.jpg",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "data:image/png;base64,!",
        "s3://bucket/photo",
        "x:y",
    ],
)
def test_photos_that_may_not_be_fetched_are_unavailable(
    scene: Scene, processor: SuggestProcessor, uri: str
) -> None:
    (event,) = scene.answers(processor, scene.record(scene.enriched(uri)))

    assert scene.reasons(event) == [("unavailable", 0)]


def test_photos_come_from_files_and_hosts(
    scene: Scene, start: Callable[..., SuggestProcessor], host: PhotoHost, tmp_path: Path
) -> None:
    (tmp_path / "photo.png").write_bytes(grey(70))
    processor = start(host)

    from_file, from_host, missing = scene.answers(
        processor,
        scene.record(scene.enriched(f"file://{tmp_path}/photo.png"), offset=0),
        scene.record(scene.enriched(host.url("/photo")), offset=1),
        scene.record(
            scene.enriched(f"file://{tmp_path}/gone.png", host.url("/status/404")), offset=2
        ),
    )

    assert isinstance(from_file, PriceSuggested)
    assert from_file.price_minor == 700
    assert scene.reasons(from_host) == [("unreadable", 0)]  # it was fetched, and is no image
    assert scene.reasons(missing) == [("unavailable", 0), ("unavailable", 1)]


def test_a_host_that_does_not_answer_costs_its_listing_only(
    scene: Scene, start: Callable[..., SuggestProcessor], host: PhotoHost
) -> None:
    processor = start(host, timeout_s=0.3)

    stuck, sound = scene.answers(
        processor,
        scene.record(scene.enriched(host.url("/stuck")), offset=0),
        scene.record(scene.enriched(scene.grey(70)), offset=1),
    )

    assert scene.reasons(stuck) == [("unavailable", 0)]
    assert isinstance(sound, PriceSuggested)
