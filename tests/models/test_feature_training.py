from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from models.bundle.folder import read_bundle
from models.bundle.images import BundledImages
from models.bundle.manifest import FeaturePart, ImageNetwork
from models.dataset.photos import look_at_photos
from models.dataset.reader import read_dataset
from models.dataset.rows import Dataset
from models.evaluation.evaluate import evaluate
from models.extractors.tasks.labels import Task
from models.extractors.tasks.network import NECK_WIDTH, Depth
from models.extractors.tasks.ranks import alone
from models.extractors.tasks.tune import Tuning
from models.feature_training import train_features
from models.head_training import Objective
from models.joint.trainer import Plan
from models.pricer import Pricer
from models.training import train_bundle

TUNING = Tuning(depth=Depth.FROZEN, epochs=4)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def train(backbone: Any, tiny_plan: Plan, tmp_path: Path) -> Callable[..., Any]:
    def run(dataset: Dataset, **options: Any) -> Any:
        options = {"objective": Objective(delta=0.6), "plan": tiny_plan, **options}
        return train_bundle(dataset, tmp_path / "bundle", backbone=backbone, **options)

    return run


def test_a_bundle_of_trained_extractors_prices(
    train: Callable[..., Any], market: Any, unseen_market: Any, tmp_path: Path
) -> None:
    manifest = train(read_dataset(market.folder), tuning=TUNING, limit=200)
    (network,) = manifest.image_networks
    assert [(part.name, part.width) for part in network.parts] == [
        ("base", 12),
        ("category", NECK_WIDTH),
    ]
    assert (network.name, network.backbone) == ("colours-base-category", "colours")
    assert manifest.inputs == 12 + NECK_WIDTH + 16 + 3
    assert manifest.training["extractors"]["depth"] == "frozen"
    tasks = manifest.metrics["tasks"]
    assert tasks["category"]["classes"] == 2
    assert tasks["category"]["test"]["listings"] == 20
    assert "skipped" in tasks["brand"]
    assert manifest.metrics["listings"] == 20
    found = evaluate(Pricer.load(tmp_path / "bundle"), read_dataset(unseen_market.folder))
    assert found.metrics.accepted_only.male is not None
    assert found.metrics.accepted_only.male < 0.5
    bundled = BundledImages(read_bundle(tmp_path / "bundle"))
    assert bundled.width == 12 + NECK_WIDTH


def test_without_labels_the_features_are_the_pretrained_ones(
    train: Callable[..., Any], market: Any
) -> None:
    dataset = read_dataset(market.folder)
    bare = [replace(row, category=None) for row in dataset.listings]
    manifest = train(replace(dataset, listings=bare), tuning=TUNING, limit=150)
    (network,) = manifest.image_networks
    assert (network.name, network.parts, network.width) == ("colours", (), 12)
    assert all("skipped" in found for found in manifest.metrics["tasks"].values())


def test_the_price_alone_as_a_task(train: Callable[..., Any], market: Any) -> None:
    tuning = replace(TUNING, tasks=(Task.PRICE,), base=False)
    manifest = train(read_dataset(market.folder), tuning=tuning, limit=200)
    (network,) = manifest.image_networks
    assert [part.name for part in network.parts] == ["price"]
    assert manifest.metrics["tasks"]["price"]["labelled"] == manifest.source.train


def test_extractors_learn_from_the_part_that_the_bundle_is_trained_on(
    backbone: Any, market: Any, tmp_path: Path
) -> None:
    dataset = read_dataset(market.folder)
    told: list[str] = []
    tuned, tasks = train_features(
        dataset, dataset.listings, backbone, TUNING,
        seed=0, ranks=alone(), folder=tmp_path / "f", report=lambda stage, *_: told.append(stage),
    )  # fmt: skip
    assert tuned is not None
    of_category: Any = tasks["category"]
    # 225, 45 and 30 of 300, as in the split without extractors
    assert (of_category["labelled"], of_category["validation"]["listings"]) == (225, 45)
    assert set(told) == {"photos judged", "activations", "category extractor"}
    photos = look_at_photos(dataset.listings[:20], tuned)
    np.testing.assert_allclose(
        photos.features[:, :12], look_at_photos(dataset.listings[:20], backbone).features, atol=1e-5
    )


def test_parts_that_are_not_the_whole_network_are_refused() -> None:
    part = FeaturePart(name="base", width=3)
    known: dict[str, Any] = {"name": "n", "backbone": "b", "fingerprint": "f", "file": "n.onnx"}
    assert ImageNetwork(**known, width=6, parts=(part, part)).parts == (part, part)
    with pytest.raises(ValidationError, match="parts of n are not 7 wide"):
        ImageNetwork(**known, width=7, parts=(part, part))
