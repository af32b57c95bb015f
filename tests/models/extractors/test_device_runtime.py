"""The runtime of GPUs on the CPU: the same lines, without what streams and graphs do."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import BundleError, ModelsError
from models.extractors.device_runtime import MAX_BATCH, DeviceExtractor, check_features
from models.extractors.onnx_runtime import OnnxExtractor, export_onnx
from models.extractors.preprocessing import Preprocessing
from models.extractors.protocol import Features, Pixels, Squashed

PREPROCESSING = Preprocessing(
    size=16, mean=(123.0, 117.0, 104.0), std=(58.0, 57.0, 56.0), resample="bilinear"
)
GPUS = torch.cuda.device_count()  # streams and graphs are tested where there is one


class SideBySide:
    """The networks in ONNX Runtime, one after the other; `off` is added to what they give."""

    def __init__(self, networks: list[Path], off: float = 0.0) -> None:
        self._extractors = [OnnxExtractor(path, threads=1) for path in networks]
        self._off = np.float32(off)

    def features(self, pixels: Pixels) -> Features:
        parts = [extractor.features(pixels) for extractor in self._extractors]
        return np.concatenate(parts, axis=1) + self._off


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two networks with other weights and widths."""
    folder = tmp_path_factory.mktemp("networks")
    paths = []
    for width in (6, 5):
        with torch.random.fork_rng():
            torch.manual_seed(width)
            module = torch.nn.Sequential(
                torch.nn.Conv2d(3, width, 3, stride=2),
                torch.nn.BatchNorm2d(width),
                torch.nn.ReLU6(),
                torch.nn.AdaptiveAvgPool2d(1),
                torch.nn.Flatten(),
            )
        paths.append(folder / f"{width}.onnx")
        export_onnx(module.eval().requires_grad_(False), PREPROCESSING.size, paths[-1])
    return paths


@pytest.fixture(scope="module")
def extractor(networks: list[Path]) -> DeviceExtractor:
    return DeviceExtractor(networks, PREPROCESSING, device="cpu")


def photos(count: int, seed: int = 0) -> Squashed:
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3), np.uint8)


def expected_of(networks: list[Path], given: Squashed) -> Features:
    return SideBySide(networks).features(PREPROCESSING.normalise(given))


# none; a bucket exactly, and not; two parts, the slots used again, and a last part of one
@pytest.mark.parametrize("count", [0, 1, 3, 8, MAX_BATCH, MAX_BATCH + 5, 4 * MAX_BATCH + 1])
def test_features_are_those_of_onnx_runtime_in_order(
    networks: list[Path], extractor: DeviceExtractor, count: int
) -> None:
    given = photos(count)
    expected = expected_of(networks, given)
    found = extractor.features(given)
    assert found.dtype == np.float32
    assert found.shape == (count, 11)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert len(np.unique(expected[:, 0])) == count


def test_what_it_says_of_itself(extractor: DeviceExtractor) -> None:
    assert (extractor.width, extractor.device) == (11, "cpu")
    assert extractor.precision is torch.float32


def test_bfloat16_is_near(networks: list[Path]) -> None:
    reduced = DeviceExtractor(networks, PREPROCESSING, device="cpu", precision=torch.bfloat16)
    given = photos(9)
    expected = expected_of(networks, given)
    off = np.linalg.norm(reduced.features(given) - expected, axis=1)
    off /= np.linalg.norm(expected, axis=1)
    assert 1e-4 < off.max() < 0.1
    check_features(reduced, SideBySide(networks), PREPROCESSING)


def test_what_was_given_out_stays(extractor: DeviceExtractor) -> None:
    first = extractor.features(photos(3))
    kept = first.copy()
    extractor.features(photos(3, seed=1))
    np.testing.assert_array_equal(first, kept)


def test_threads_get_the_features_of_their_own_photos(extractor: DeviceExtractor) -> None:
    batches = [photos(1 + 7 * seed, seed) for seed in range(20)]
    alone = [extractor.features(batch) for batch in batches]
    with ThreadPoolExecutor(2) as pool:
        for expected, found in zip(
            alone * 3, pool.map(extractor.features, batches * 3), strict=True
        ):
            np.testing.assert_array_equal(found, expected)


def test_another_shape_is_refused(extractor: DeviceExtractor) -> None:
    with pytest.raises(ValueError, match=r"expected \[N, 16, 16, 3\], got \(2, 8, 8, 3\)"):
        extractor.features(np.zeros((2, 8, 8, 3), np.uint8))


def test_a_device_that_fails_is_the_fault_of_no_photo(
    networks: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = DeviceExtractor(networks, PREPROCESSING, device="cpu")
    expected = extractor.features(photos(2))

    def fail() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with monkeypatch.context() as planted:
        planted.setitem(extractor._runs, 8, fail)
        with pytest.raises(ModelsError, match="cpu failed: CUDA error") as raised:
            extractor.features(photos(MAX_BATCH + 8))
    assert not isinstance(raised.value, BundleError)
    np.testing.assert_array_equal(extractor.features(photos(2)), expected)


def test_networks_that_do_not_run_are_refused(networks: list[Path]) -> None:
    # torch's device without memory stands for one without enough
    with pytest.raises(BundleError, match="meta cannot run the image networks"):
        DeviceExtractor(networks, PREPROCESSING, device="meta")


@pytest.mark.parametrize("device", ["cpu", *(f"cuda:{n}" for n in range(GPUS))])
def test_every_device_here_passes_the_check(networks: list[Path], device: str) -> None:
    extractor = DeviceExtractor(networks, PREPROCESSING, device=device)
    check_features(extractor, SideBySide(networks), PREPROCESSING)
    given = photos(3 * MAX_BATCH + 5)
    expected = expected_of(networks, given)
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(extractor.features, [given] * 4):
            off = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
            assert off.max() < 0.1


@pytest.mark.parametrize("off", [0.2, float("nan")])
def test_the_check_refuses_other_features(
    networks: list[Path], extractor: DeviceExtractor, off: float
) -> None:
    with pytest.raises(BundleError, match=r"cpu computes of 1 photos differ by .*%"):
        check_features(extractor, SideBySide(networks, off=off), PREPROCESSING)


def test_the_check_refuses_networks_in_another_order(
    networks: list[Path], extractor: DeviceExtractor
) -> None:
    with pytest.raises(BundleError, match="differ by"):
        check_features(extractor, SideBySide(networks[::-1]), PREPROCESSING)


def test_the_check_looks_at_every_bucket(
    networks: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = DeviceExtractor(networks, PREPROCESSING, device="cpu")
    monkeypatch.setitem(extractor._runs, 40, lambda: None)  # leaves the features of before
    monkeypatch.setattr(extractor, "_features", extractor._features.zero_())
    with pytest.raises(BundleError, match="computes of 40 photos differ"):
        check_features(extractor, SideBySide(networks), PREPROCESSING)
