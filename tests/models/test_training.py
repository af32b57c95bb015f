import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.bundle.folder import read_bundle
from models.bundle.manifest import RuleName
from models.dataset.reader import read_dataset
from models.errors import BundleError, TrainingError
from models.evaluation.evaluate import evaluate
from models.head_training import Objective, quick_plan
from models.joint.checkpoint import Checkpoint
from models.joint.trainer import PAPER, Plan
from models.pricer import Pricer
from models.training import train_bundle
from schemas.dataset import LISTING_COLUMNS

Change = Callable[[int, dict[str, str]], None]


@pytest.fixture
def changed(market: Any, tmp_path: Path) -> Callable[..., Path]:
    """Writes the market's table anew: `changed(change, keep=None)`, photos linked, not copied."""

    def write(change: Change, keep: int | None = None) -> Path:
        folder = tmp_path / "changed"
        folder.mkdir()
        shutil.copy(market.folder / "dataset.json", folder)
        shutil.copytree(market.folder / "images", folder / "images")
        with (market.folder / "listings.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))[:keep]
        for number, row in enumerate(rows):
            change(number, row)
        with (folder / "listings.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, LISTING_COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        return folder

    return write


@pytest.fixture
def train(backbone: Any, tiny_plan: Plan, tmp_path: Path) -> Callable[..., Any]:
    def run(folder: Path, **options: Any) -> Any:
        options = {"objective": Objective(delta=0.6), "plan": tiny_plan, **options}
        return train_bundle(read_dataset(folder), tmp_path / "bundle", backbone=backbone, **options)

    return run


def test_a_bundle_says_what_it_was_made_of(bundle_folder: Path) -> None:
    manifest = read_bundle(bundle_folder).manifest
    source = manifest.source
    assert (source.dataset, source.listings, source.window) == ("market", 300, None)
    assert source.train + source.validation + source.test <= 300
    assert source.test == 30
    # no price is irrational; the statistics are of the training part alone
    assert source.train == 225
    assert source.sales == 225
    assert manifest.category_levels == ("Home", "Home > Big", "Home > Small")
    assert manifest.inputs == 12 + 16 + 3
    assert manifest.rule.name is RuleName.PERCENTILE
    metrics: Any = manifest.metrics
    assert metrics["listings"] == 30
    assert metrics["accepted_only"]["male"] < 0.3
    assert metrics["coverage"] == pytest.approx(0.6, abs=0.3)
    assert 800 < manifest.price_limits.low_minor < 2000


def test_checkpoints_change_nothing_and_go_when_the_bundle_is_whole(
    train: Callable[..., Any], market: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = train(market.folder)
    folder = tmp_path / "state"

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "joint" and done == 33:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "is_due", lambda _: True)
    with pytest.raises(KeyboardInterrupt):
        train(market.folder, checkpoints=folder, report=stop)
    assert [file.name for file in folder.iterdir()] == ["joint.safetensors"]
    told: list[tuple[str, int, int]] = []
    again = train(market.folder, checkpoints=folder, report=lambda *step: told.append(step))
    assert [done for stage, done, _ in told if stage.startswith(("warm", "joint"))] == [
        *range(33, 41)
    ]
    assert again.model_version == plain.model_version
    assert not folder.exists()


def test_the_same_seed_gives_the_same_bundle(
    train: Callable[..., Any], market: Any, tmp_path: Path
) -> None:
    plan = Plan(epochs=(12, 0, 4, 0), batch_size=32, beta=None)
    first = train(market.folder, plan=plan, limit=150)
    files = {p.name: p.read_bytes() for p in (tmp_path / "bundle").iterdir()}
    again = train(market.folder, plan=plan, limit=150)
    assert first == again
    assert files == {p.name: p.read_bytes() for p in (tmp_path / "bundle").iterdir()}
    other = train(market.folder, plan=plan, limit=150, seed=1)
    assert other.model_version != first.model_version


def test_with_times_statistics_are_as_of_listing_and_the_window_is_kept(
    train: Callable[..., Any], timed_market: Any, tmp_path: Path
) -> None:
    manifest = train(timed_market.folder)
    window = manifest.source.window
    # 200 listings, one an hour; the last one is sold five hours after it was listed
    assert (window.end - window.start).total_seconds() == 3600 * (199 + 5)
    assert manifest.source.sales == 200
    metrics: Any = manifest.metrics
    # evaluated as of listing time too: the same listings, the same answers
    found = evaluate(Pricer.load(tmp_path / "bundle"), read_dataset(timed_market.folder))
    last = sorted(found.predictions, key=lambda p: int(p.listing_id.split("-")[1]))[-20:]
    assert sum(p.accepted for p in last) == metrics["accepted"]


def test_threshold_rule(train: Callable[..., Any], market: Any, tmp_path: Path) -> None:
    manifest = train(
        market.folder, objective=Objective(rule=RuleName.THRESHOLD, epsilon=0.3), limit=200
    )
    assert manifest.rule.name is RuleName.THRESHOLD
    assert (manifest.rule.epsilon, manifest.rule.score_threshold) == (0.3, 0.0)
    assert manifest.rule.delta == 0.1  # the floor of the loss, not the share of the other rule
    assert manifest.model_version.startswith("colours-threshold-")
    assert Pricer.load(tmp_path / "bundle").version == manifest.model_version


def test_epochs_take_the_place_of_the_plan_s(train: Callable[..., Any], market: Any) -> None:
    told: list[tuple[str, int, int]] = []
    manifest = train(market.folder, epochs=(30, 0, 10, 0), report=lambda *step: told.append(step))
    assert manifest.training["epochs"] == [30, 0, 10, 0]
    assert manifest.training["batch_size"] == 32
    assert ("warm-up", 30, 40) in told
    assert ("joint", 40, 40) in told
    assert {stage for stage, _, _ in told} == {"export", "photos", "warm-up", "joint", "test"}


@pytest.mark.parametrize(("category", "levels"), [("Only", ("Only",)), ("", ())])
def test_one_category_or_none_is_enough_and_the_paper_s_gate_opens_at_one_half(
    train: Callable[..., Any], changed: Callable[..., Path], category: str, levels: tuple[str, ...]
) -> None:
    folder = changed(lambda _, row: row.update(category=category))
    manifest = train(folder, objective=Objective(delta=0.6, paper_gate=True), limit=150)
    assert manifest.category_levels == levels
    assert manifest.rule.score_threshold == 0.0


def test_a_training_that_collapses_keeps_the_old_bundle(
    train: Callable[..., Any], market: Any, bundle_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(bundle_folder, tmp_path / "bundle")
    plan = Plan(epochs=(2, 0, 60, 0), batch_size=64, beta=1e-6)
    with pytest.raises(TrainingError, match="trivial answer"):
        train(market.folder, plan=plan)
    assert read_bundle(tmp_path / "bundle").manifest == read_bundle(bundle_folder).manifest


def test_a_folder_that_is_no_bundle_is_refused_before_any_work(
    train: Callable[..., Any], market: Any, tmp_path: Path
) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "thesis.tex").write_text("x")
    with pytest.raises(BundleError, match="is not a bundle"):
        train(market.folder, report=lambda *_: pytest.fail("no work yet"))


def test_plans() -> None:
    assert PAPER.epochs == (1700, 850, 3400, 1700)
    assert (PAPER.members, PAPER.dropout, PAPER.weight_decay, PAPER.beta) == (1, 0, 0, 1)
    few, many = quick_plan(500), quick_plan(5000)
    assert quick_plan(2500).epochs == many.epochs
    assert sum(few.epochs) == 5 * sum(many.epochs)
