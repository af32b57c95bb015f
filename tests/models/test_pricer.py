import math
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.bundle.folder import (
    BACKBONE_FILE,
    HEADS_FILE,
    HEADS_ONNX_FILE,
    read_bundle,
    write_manifest,
)
from models.errors import BundleError, UnreadableImageError
from models.extractors.onnx_runtime import export_onnx
from models.images.limits import ImageLimits
from models.joint.network import JointNetwork
from models.pricer import Pricer
from schemas.statistics import Statistics
from stats_store.features import STATISTICS_WIDTH, feature_vector, statistics_of

CATEGORY = "Home > Big"


@pytest.fixture(scope="module")
def pricer(bundle_folder: Path) -> Pricer:
    return Pricer.load(bundle_folder, threads=1)


@pytest.fixture(scope="module")
def photo(unseen_market: Any) -> bytes:
    return bytes((unseen_market.folder / "images" / "7.jpg").read_bytes())


def nothing_sold(currency: str = "GBP") -> Statistics:
    return statistics_of(None, None, None, currency)


def test_a_photo_may_cost_what_the_caller_says(photo: bytes, bundle_folder: Path) -> None:
    strict = Pricer.load(bundle_folder, threads=1, limits=ImageLimits(max_bytes=len(photo) - 1))
    with pytest.raises(UnreadableImageError, match="bytes, the limit is"):
        strict.prepare(photo)


def test_one_photo_to_one_price_as_torch_and_the_formulas_give_it(
    pricer: Pricer, photo: bytes, bundle_folder: Path, backbone: Any
) -> None:
    prepared = pricer.prepare(photo)
    assert prepared.faults == ()
    features = pricer.features([prepared])
    with torch.inference_mode():
        pixels = pricer.preprocessing.normalise(prepared.pixels[None])
        expected = backbone.build()(torch.from_numpy(pixels)).numpy()
    assert features == pytest.approx(expected, abs=1e-5)

    statistics = pricer.snapshot_statistics(CATEGORY)
    (found,) = pricer.estimate(features, [statistics], [CATEGORY])
    manifest = read_bundle(bundle_folder).manifest
    levels = [float(CATEGORY.startswith(level)) for level in manifest.category_levels]
    row = np.concatenate([features[0], feature_vector(statistics), levels]).astype(np.float32)
    with torch.inference_mode():
        price, score = JointNetwork.load(bundle_folder / HEADS_FILE)(torch.from_numpy(row[None]))
    ranges, certain = manifest.ranges, manifest.confidence.probability
    half = ranges.by_category.get(CATEGORY, ranges.by_category.get("Home", ranges.pooled))
    half *= np.interp(score.item(), ranges.spread.at, ranges.spread.value)
    assert found.price_minor == pytest.approx(100 * math.exp(price.item()), abs=1)
    assert found.low_minor == pytest.approx(100 * math.exp(price.item() - half), abs=1)
    assert found.high_minor == pytest.approx(100 * math.exp(price.item() + half), abs=1)
    assert found.score == pytest.approx(score.item(), abs=1e-3)
    expected = np.interp(score.item(), certain.at, certain.value)
    assert found.confidence == pytest.approx(expected, abs=1e-3)
    assert found.qualified is (score.item() >= manifest.rule.score_threshold)


def test_attributes_are_those_of_the_manifest(pricer: Pricer, bundle_folder: Path) -> None:
    manifest = read_bundle(bundle_folder).manifest
    assert pricer.version == manifest.model_version
    assert (pricer.currency, pricer.range_probability, pricer.width) == ("GBP", 0.8, 12)
    assert pricer.snapshot_statistics(CATEGORY).category.count > 50
    assert pricer.snapshot_statistics("unheard of").category.count == 0


def test_nothing_sold_yet_takes_the_snapshot(pricer: Pricer, photo: bytes) -> None:
    features = pricer.features([pricer.prepare(photo)])
    for category in (CATEGORY, None, "unheard of"):
        cold = pricer.estimate(features, [nothing_sold()], [category])
        snapshot = pricer.estimate(features, [pricer.snapshot_statistics(category)], [category])
        assert cold == snapshot


def test_without_falling_back_nothing_sold_stays_unknown(
    pricer: Pricer, photo: bytes, bundle_folder: Path
) -> None:
    features = pricer.features([pricer.prepare(photo)])
    (found,) = pricer.estimate(features, [nothing_sold()], [CATEGORY], fall_back=False)
    levels = [float(CATEGORY.startswith(name)) for name in pricer.bundle.manifest.category_levels]
    # as in training: twelve prices unknown, no sales counted, and all three scopes fell back
    unknown = [math.nan] * 12 + [0.0] * 3 + [1.0]
    row = np.concatenate([features[0], unknown, levels]).astype(np.float32)
    with torch.inference_mode():
        price, _ = JointNetwork.load(bundle_folder / HEADS_FILE)(torch.from_numpy(row[None]))
    assert found.price_minor == pytest.approx(100 * math.exp(price.item()), abs=1)
    assert [found] != pricer.estimate(features, [nothing_sold()], [CATEGORY])


def test_statistics_of_another_currency_are_refused(pricer: Pricer, photo: bytes) -> None:
    features = pricer.features([pricer.prepare(photo)])
    with pytest.raises(ValueError, match=r"statistics in USD, but model .* prices in GBP"):
        pricer.estimate(features, [nothing_sold("USD")])


@pytest.fixture(scope="module")
def convolved(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle with a network of convolutions, of the same width, in the place of its own."""
    folder = shutil.copytree(bundle_folder, tmp_path_factory.mktemp("bundles") / "convolved")
    with torch.random.fork_rng():
        torch.manual_seed(4)
        module = torch.nn.Sequential(
            torch.nn.Conv2d(3, 12, 5, stride=2),
            torch.nn.BatchNorm2d(12),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
        )
    export_onnx(module.eval().requires_grad_(False), 32, folder / BACKBONE_FILE)
    return resigned(folder)


def test_torch_on_a_device_gives_the_estimates_of_onnx_runtime(
    convolved: Path, unseen_market: Any
) -> None:
    on_cpu, on_device = Pricer.load(convolved, threads=1), Pricer.load(convolved, device="cpu")
    photos = [
        on_cpu.prepare((unseen_market.folder / "images" / f"{n}.jpg").read_bytes())
        for n in range(70)  # more than one part of a batch
    ]
    expected, found = on_cpu.features(photos), on_device.features(photos)
    assert found == pytest.approx(expected, abs=1e-5)
    assert not np.array_equal(found, expected)  # another runtime did compute them
    assert on_device.features([]).shape == (0, 12)
    estimates = zip(
        on_cpu.estimate(expected, [nothing_sold()] * 70),
        on_device.estimate(found, [nothing_sold()] * 70),
        strict=True,
    )
    for one, other in estimates:
        assert other.price_minor == pytest.approx(one.price_minor, rel=1e-4, abs=1)
        assert other.score == pytest.approx(one.score, abs=1e-3)
    assert (on_device.device, on_device.precision) == ("cpu", "float32")


def test_a_device_that_computes_something_else_is_refused_when_a_bundle_is_loaded(
    convolved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.extractors import onnx_network

    monkeypatch.setitem(onnx_network._OPERATIONS, "Relu", torch.sigmoid)
    Pricer.load(convolved)
    with pytest.raises(BundleError, match="that cpu computes of 1 photos differ by"):
        Pricer.load(convolved, device="cpu")


def test_a_network_that_the_device_does_not_know_is_refused(bundle_folder: Path) -> None:
    with pytest.raises(BundleError, match="runs on the CPU only: its operation 'AveragePool'"):
        Pricer.load(bundle_folder, device="cpu")


def test_lengths_must_fit(pricer: Pricer) -> None:
    features = np.zeros((2, 12), np.float32)
    with pytest.raises(ValueError, match="2 features, 1 statistics"):
        pricer.estimate(features, [nothing_sold()])
    with pytest.raises(ValueError, match="3 categories"):
        pricer.estimate(features, [nothing_sold()] * 2, [None] * 3)


def test_no_listing_no_estimate(pricer: Pricer) -> None:
    assert pricer.features([]).shape == (0, 12)
    assert pricer.estimate(np.empty((0, 12), np.float32), []) == []


def test_a_batch_gives_what_single_listings_give(pricer: Pricer, unseen_market: Any) -> None:
    photos = [
        pricer.prepare((unseen_market.folder / "images" / f"{n}.jpg").read_bytes())
        for n in range(9)
    ]
    features = pricer.features(photos)
    together = pricer.estimate(features, [nothing_sold()] * 9)
    alone = [pricer.estimate(pricer.features([p]), [nothing_sold()])[0] for p in photos]
    for one, other in zip(together, alone, strict=True):
        assert one.price_minor == pytest.approx(other.price_minor, rel=1e-4, abs=1)
        assert one.confidence == pytest.approx(other.confidence, abs=1e-4)
    assert len({estimate.price_minor for estimate in together}) == 9


def test_prices_stay_possible_whatever_the_features(pricer: Pricer) -> None:
    wild = np.array([[1e30] * 12, [-1e30] * 12, [np.nan] * 12], np.float32)
    for estimate in pricer.estimate(wild, [nothing_sold()] * 3):
        assert 1 <= estimate.low_minor <= estimate.price_minor <= estimate.high_minor <= 10**15
        assert 0 <= estimate.confidence <= 1


def test_many_threads_get_the_same_answers(pricer: Pricer, photo: bytes) -> None:
    def price(_: int) -> object:
        return pricer.estimate(pricer.features([pricer.prepare(photo)]), [nothing_sold()])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(price, range(40)))
    assert answers == [answers[0]] * 40


def test_what_is_no_photo(pricer: Pricer) -> None:
    with pytest.raises(UnreadableImageError):
        pricer.prepare(b"no photo")


def resigned(bundle: Path) -> Path:
    write_manifest(bundle, read_bundle_unchecked(bundle))
    return bundle


def read_bundle_unchecked(bundle: Path) -> Any:
    from models.bundle.manifest import Manifest

    return Manifest.model_validate_json((bundle / "bundle.json").read_bytes())


@pytest.mark.parametrize("name", [BACKBONE_FILE, HEADS_ONNX_FILE])
@pytest.mark.parametrize("content", [b"", b"no network"])
def test_a_file_that_is_no_network_is_refused_though_its_sum_fits(
    bundle_folder: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    copy = shutil.copytree(bundle_folder, tmp_path / "copy")
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match="not an exported network"):
        Pricer.load(resigned(copy))


def test_widths_that_do_not_add_up_are_refused(bundle_folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle_folder, tmp_path / "copy")
    manifest = read_bundle_unchecked(copy)
    write_manifest(copy, manifest.model_copy(update={"inputs": 12 + STATISTICS_WIDTH}))
    with pytest.raises(BundleError, match="do not add up"):
        Pricer.load(copy)
    levels = ("A", *manifest.category_levels)
    update = {"inputs": manifest.inputs + 1, "category_levels": levels}
    write_manifest(copy, manifest.model_copy(update=update))
    with pytest.raises(BundleError, match=r"heads\.onnx reads \d+ columns"):
        Pricer.load(copy)


def test_serving_never_imports_torch(bundle_folder: Path, unseen_market: Any) -> None:
    program = f"""
import sys
from pathlib import Path
from models.pricer import Pricer
pricer = Pricer.load(Path({str(bundle_folder)!r}), threads=1)
photo = pricer.prepare(Path({str(unseen_market.folder / "images" / "7.jpg")!r}).read_bytes())
statistics = pricer.snapshot_statistics("Home > Big")
(estimate,) = pricer.estimate(pricer.features([photo]), [statistics], ["Home > Big"])
print(estimate.price_minor, sorted(name for name in sys.modules if name.startswith("torch")))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    price, modules = ended.stdout.strip().split(" ", 1)
    assert int(price) > 0
    assert modules == "[]"
