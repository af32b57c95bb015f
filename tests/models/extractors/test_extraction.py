from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.extractors.cache import FeatureCache
from models.extractors.extraction import extract
from models.extractors.protocol import Backbone, Extractor, Features, Pixels
from models.extractors.torch_runtime import TorchExtractor
from models.images.faults import Fault
from schemas.suggestion import ReuploadReason

UNREADABLE = (Fault(ReuploadReason.UNREADABLE, 1.0),)
WritePhotos = Callable[..., list[Path]]


class Counting:
    """Counts the photos that went through the network."""

    def __init__(self, extractor: Extractor) -> None:
        self.extractor = extractor
        self.photos = 0

    def features(self, pixels: Pixels) -> Features:
        self.photos += len(pixels)
        return self.extractor.features(pixels)


@pytest.fixture
def counting(tiny: Backbone) -> Counting:
    return Counting(TorchExtractor(tiny.build()))


def expected_features(tiny: Backbone, paths: list[Path]) -> np.ndarray:
    pixels = [tiny.preprocess(Image.open(path).convert("RGB")) for path in paths]
    with torch.inference_mode():
        found: np.ndarray = tiny.build()(torch.from_numpy(np.stack(pixels))).numpy()
    return found


@pytest.mark.parametrize("threads", [1, 4])
def test_features_come_in_the_order_of_the_paths(
    tiny: Backbone, counting: Counting, write_photos: WritePhotos, threads: int
) -> None:
    paths = write_photos(75)  # two batches and a part
    found = extract(paths, tiny, extractor=counting, threads=threads)
    np.testing.assert_allclose(found.features, expected_features(tiny, paths), atol=1e-5)
    assert found.features.dtype == np.float32
    assert found.readable.all()
    assert found.faults == [()] * 75
    assert found.problems == {}
    assert counting.photos == 75


def test_unreadable_photos_are_reported(
    tiny: Backbone, counting: Counting, write_photos: WritePhotos, tmp_path: Path
) -> None:
    good = write_photos(3)
    truncated = tmp_path / "truncated.png"
    truncated.write_bytes(good[0].read_bytes()[:900])
    text = tmp_path / "text.jpg"
    text.write_text("not a photo")
    dark = tmp_path / "dark.png"
    Image.new("RGB", (100, 100), (3, 3, 3)).save(dark)
    paths = [truncated, good[0], tmp_path / "absent.jpg", good[1], text, tmp_path, dark, good[2]]
    found = extract(paths, tiny, extractor=counting)
    assert found.readable.tolist() == [False, True, False, True, False, False, True, True]
    assert sorted(found.problems) == [0, 2, 4, 5]
    assert "absent.jpg cannot be read: No such file" in found.problems[2]
    assert [found.faults[i] for i in (0, 2, 4, 5)] == [UNREADABLE] * 4
    assert found.faults[6] == (Fault(ReuploadReason.TOO_DARK, found.faults[6][0].weight),)
    assert not found.features[~found.readable].any()
    np.testing.assert_allclose(found.features[[1, 3, 7]], expected_features(tiny, good), atol=1e-5)


def test_the_cache_spares_the_network(
    tiny: Backbone, counting: Counting, write_photos: WritePhotos, tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path / "cache")
    paths = write_photos(40)
    first = extract(paths[:30], tiny, extractor=counting, cache=cache)
    assert counting.photos == 30
    second = extract(paths, tiny, extractor=counting, cache=cache)
    assert counting.photos == 40
    np.testing.assert_array_equal(second.features[:30], first.features)
    np.testing.assert_allclose(second.features, expected_features(tiny, paths), atol=1e-5)
    assert second.readable.all()
    next((tmp_path / "cache").rglob("*.f32")).write_bytes(b"damaged")
    third = extract(paths, tiny, extractor=counting, cache=cache)
    assert counting.photos == 41
    np.testing.assert_allclose(third.features, second.features, atol=1e-6)


def test_a_network_is_built_only_when_needed(
    write_photos: WritePhotos, tmp_path: Path, tiny: Backbone
) -> None:
    cache = FeatureCache(tmp_path / "cache")
    paths = write_photos(2)
    found = extract(paths, tiny, cache=cache, threads=1)
    assert tiny.built == 1  # type: ignore[attr-defined]
    np.testing.assert_allclose(found.features, expected_features(tiny, paths), atol=1e-4)
    built = tiny.built  # type: ignore[attr-defined]
    extract(paths, tiny, cache=cache)
    extract([], tiny)
    extract([tmp_path / "absent.jpg"], tiny)
    assert tiny.built == built  # type: ignore[attr-defined]


def test_progress_counts_up_to_all(
    tiny: Backbone, counting: Counting, write_photos: WritePhotos, tmp_path: Path
) -> None:
    paths = [*write_photos(70), tmp_path / "absent.jpg"]
    calls: list[tuple[int, int]] = []
    extract(paths, tiny, extractor=counting, progress=lambda done, of: calls.append((done, of)))
    assert calls == sorted(calls)
    assert calls[0] == (32, 71)
    assert calls[-1] == (71, 71)
    calls.clear()
    assert extract([], tiny, progress=lambda done, of: calls.append((done, of))).features.shape == (
        0,
        6,
    )
    assert calls == [(0, 0)]


def test_an_error_of_the_network_ends_the_run(tiny: Backbone, write_photos: WritePhotos) -> None:
    class Broken:
        def features(self, pixels: Pixels) -> Features:
            raise MemoryError(f"{len(pixels)} photos")

    with pytest.raises(MemoryError, match="32 photos"):
        extract(write_photos(100), tiny, extractor=Broken())
