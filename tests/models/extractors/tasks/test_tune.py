from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.dataset.rows import ListingRow
from models.extractors.onnx_runtime import OnnxExtractor, export_onnx
from models.extractors.tasks.labels import PAPER_TASKS, Task
from models.extractors.tasks.network import NECK_WIDTH, Depth
from models.extractors.tasks.ranks import Ranks
from models.extractors.tasks.trainer import TaskPlan
from models.extractors.tasks.tune import Subjects, Tuning, tune
from models.extractors.tasks.tuned import Part, TunedBackbone

PLAN = TaskPlan(epochs=12, batch_size=16, learning_rate=1e-2, last_rate=3e-2, patience=12)


@pytest.fixture
def subjects(
    coloured_photos: Callable[[int], list[tuple[str, Path]]], listing: Callable[..., ListingRow]
) -> Subjects:
    """100 listings whose brand and price are their colour; half name it as an attribute too."""
    found = coloured_photos(100)
    listings = [
        listing(
            listing_id=path.stem,
            images=(path,),
            brand=colour,
            attributes=(colour,) if number % 4 < 3 else (),
        )
        for number, (colour, path) in enumerate(found)
    ]
    return Subjects(
        listings=listings,
        photos=[row.images for row in listings],
        digests=[(row.listing_id,) for row in listings],
        log_prices=np.array([len(colour) for colour, _ in found], np.float32),
        train=np.arange(70),
        validation=np.arange(70, 85),
        test=np.arange(85, 100),
    )


@pytest.fixture
def run(stages: Any, subjects: Subjects, tmp_path: Path) -> Callable[..., Any]:
    def tuned(tuning: Tuning, **options: Any) -> Any:
        given: dict[str, Any] = {"folder": tmp_path / "cache", "seed": 0, "plan": PLAN}
        given |= options
        given.setdefault("ranks", Ranks(0, 1, torch.device("cpu")))
        return tune(stages, given.pop("subjects", subjects), tuning, **given)

    return tuned


@pytest.mark.parametrize("depth", Depth)
def test_tasks_with_labels_are_trained_and_stand_behind_the_base(
    run: Callable[..., Any], stages: Any, subjects: Subjects, tmp_path: Path, depth: Depth
) -> None:
    told: list[tuple[str, int, int]] = []
    backbone, metrics = run(Tuning(depth=depth), report=lambda *step: told.append(step))
    assert isinstance(backbone, TunedBackbone)
    width = NECK_WIDTH if depth is Depth.FROZEN else 8
    assert backbone.parts == (Part("base", 8), Part("brand", width), Part("attribute", width))
    assert backbone.name == "stages-base-brand-attribute"
    assert set(metrics) == set(PAPER_TASKS)
    for task in ("category", "specification"):
        assert set(metrics[task]) == {"skipped"}
    assert metrics["brand"]["classes"] == 3
    assert metrics["brand"]["labelled"] == 70
    assert metrics["attribute"]["labelled"] == sum(n % 4 < 3 for n in range(70))
    assert metrics["brand"]["test"]["listings"] == 15
    assert metrics["brand"]["test"]["top_1"] > 0.8
    assert metrics["attribute"]["validation"]["map"] > 0.8
    stages_told = {stage for stage, _, _ in told}
    trained = {"brand extractor", "attribute extractor"}
    assert stages_told == (trained if depth is Depth.ALL else trained | {"activations"})

    # exported, it gives what its parts give; the base is the backbone as it was
    export_onnx(backbone.build(), backbone.input_size, tmp_path / "network.onnx")
    with Image.open(subjects.photos[0][0]) as image:
        pixels = backbone.preprocess(image.convert("RGB"))[None]
    features = OnnxExtractor(tmp_path / "network.onnx").features(pixels)
    assert features.shape == (1, backbone.width) == (1, 8 + 2 * width)
    with torch.inference_mode():
        base = stages.build()(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(features[:, :8], base, atol=1e-5)
    if depth is not Depth.FROZEN:
        assert np.abs(features[:, 8:16] - base).max() > 0.01
        assert np.abs(features[:, 8:16] - features[:, 16:24]).max() > 0.01


def test_without_the_base_and_with_one_task(run: Callable[..., Any]) -> None:
    backbone, metrics = run(Tuning(depth=Depth.LAST, tasks=(Task.BRAND,), base=False))
    assert backbone.parts == (Part("brand", 8),)
    assert set(metrics) == {"brand"}


def test_the_price_is_a_task_like_the_others(run: Callable[..., Any]) -> None:
    backbone, metrics = run(Tuning(depth=Depth.LAST, tasks=(Task.PRICE,), base=False))
    assert backbone.parts == (Part("price", 8),)
    assert metrics["price"]["test"]["r2"] > 0.3
    assert "entropy" not in metrics["price"]


def test_without_labels_there_is_nothing_to_tune(
    run: Callable[..., Any], subjects: Subjects, tmp_path: Path
) -> None:
    bare = [replace(row, brand=None, attributes=()) for row in subjects.listings]
    backbone, metrics = run(Tuning(depth=Depth.LAST), subjects=replace(subjects, listings=bare))
    assert backbone is None
    assert all(set(found) == {"skipped"} for found in metrics.values())
    assert not (tmp_path / "cache").exists()


def test_the_same_training_is_done_once_and_another_one_is_another(
    run: Callable[..., Any], subjects: Subjects, tmp_path: Path
) -> None:
    tuning = Tuning(depth=Depth.LAST, tasks=(Task.BRAND,))
    first, measured = run(tuning)
    told: list[tuple[str, int, int]] = []
    again, remeasured = run(tuning, report=lambda *step: told.append(step))
    assert (again.fingerprint, remeasured) == (first.fingerprint, measured)
    assert {done == total for stage, done, total in told if stage.endswith("extractor")} == {True}
    anew, _ = run(tuning, folder=tmp_path / "elsewhere")
    assert anew.fingerprint == first.fingerprint
    fewer = replace(subjects, train=subjects.train[:-3])
    for options in ({"seed": 1}, {"subjects": fewer}, {"plan": replace(PLAN, epochs=2)}):
        other, _ = run(tuning, **options)
        assert other.fingerprint != first.fingerprint


def test_labels_outside_the_training_part_change_no_weight(
    run: Callable[..., Any], subjects: Subjects, tmp_path: Path
) -> None:
    tuning = Tuning(depth=Depth.LAST, tasks=(Task.BRAND,), epochs=3)
    first, _ = run(tuning)
    changed = [
        replace(row, brand="new") if number >= 85 else row
        for number, row in enumerate(subjects.listings)
    ]
    again, metrics = run(
        tuning, subjects=replace(subjects, listings=changed), folder=tmp_path / "o"
    )
    assert again.fingerprint == first.fingerprint
    assert metrics["brand"]["test"] == {"listings": 0}
