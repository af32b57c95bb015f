"""The whole of a retraining, on a real broker: publication, refusal, and what is left behind."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.bundle.folder import read_bundle
from models.extractors.errors import UnknownBackboneError
from models.extractors.extraction import extract
from models.pricer import Pricer
from schemas.model import ModelRole
from tests.red_bundle import write_red_bundle
from tests.workers.retrain.conftest import START, Shop
from workers.errors import BadDataError, WorkersError
from workers.examples.example import Example, Outcome
from workers.examples.store import ExampleStore
from workers.registry.announcing import announce, announcements
from workers.registry.lock import LockedError, RegistryLock
from workers.registry.reports import RetrainRecords
from workers.registry.storage import ModelRegistry
from workers.retrain.champion import Champion
from workers.retrain.images import choose_images
from workers.retrain.job import LOCK, Places, Rules, retrain
from workers.retrain.report import RetrainReport

ROOT = Path(__file__).parents[3]
NOW = START + timedelta(hours=500, days=3)


@pytest.fixture
def run(places: Places, rules: Rules) -> Callable[..., RetrainReport]:
    """Retrains at a time with changed rules: `run(now, **rules)`."""

    def run(now: Any = NOW, **changed: Any) -> RetrainReport:
        return retrain(places, replace(rules, **changed), now=now, report=lambda *_: None)

    return run


def divided(examples: Sequence[Example], now: Any) -> tuple[list[Example], list[Example]]:
    """What is learnt from and what is judged by, of what is known at a time: 60 or 15 %."""
    known = [e for e in examples if e.known_at <= now]
    sold = [e for e in known if e.outcome is Outcome.SOLD]
    held = sold[-max(60, round(0.15 * len(sold))) :]
    return [e for e in known if e.listed_at < held[0].listed_at], held


def live(places: Places) -> list[str]:
    return [e.model_version for e in announcements(places.options, places.topic).of(ModelRole.LIVE)]


def test_the_first_model_is_published_and_the_next_begins_as_it(
    run: Callable[..., RetrainReport],
    places: Places,
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    early = NOW - timedelta(days=6)  # knows of the first 356 listings
    first = run(early)
    assert first.published, first.for_people()
    assert first.parent is None
    assert live(places) == [first.model_version]

    # what the challenger learnt from ends before what it was judged on, by time of listing
    learnt, held = divided(shop.examples, early)
    manifest = read_bundle(Path(places.registry_url) / str(first.model_version)).manifest
    assert manifest.lineage is not None
    assert manifest.lineage.listed_until == learnt[-1].listed_at < held[0].listed_at
    assert manifest.lineage.verdict["publish"] is True
    assert manifest.source.sales == sum(e.outcome is Outcome.SOLD for e in learnt)
    assert first.learnt == len(learnt)
    assert first.held <= len(held) == 60

    # photos are looked at once: of those seen before none is decoded again
    decoded: list[Path] = []

    def watched(paths: Any, *rest: Any, **options: Any) -> Any:
        decoded.extend(paths)
        return extract(paths, *rest, **options)

    monkeypatch.setattr("workers.retrain.photos.extract", watched)
    second = run()
    before, after = (
        {e.listing_id for e in [*a, *b]} for a, b in ((learnt, held), divided(shop.examples, NOW))
    )
    assert len(decoded) == len(after - before)
    assert second.parent == first.model_version
    assert second.began_as == f"as {first.model_version}"
    assert second.images.startswith("the champion's")
    assert second.published, second.for_people()
    assert live(places) == [second.model_version, first.model_version]

    # it prices what it never saw
    pricer = Pricer.load(Path(places.registry_url) / str(second.model_version))
    assert pricer.bundle.manifest.lineage is not None
    assert pricer.bundle.manifest.lineage.parent == first.model_version
    reports = sorted((Path(places.registry_url) / "reports").iterdir())
    assert [json.loads(path.read_text())["model_version"] for path in reports] == [
        first.model_version,
        second.model_version,
    ]
    assert RetrainRecords(places.registry_url).last_at() == NOW


def announced_nothing(places: Places) -> None:
    """Nothing was announced, and what lies in the registry is no model."""
    assert live(places) == []
    folder = Path(places.registry_url)
    assert {path.name for path in folder.iterdir()} <= {"locks", "reports"}


def test_a_refused_challenger_leaves_the_champion_and_a_report(
    run: Callable[..., RetrainReport], places: Places, rules: Rules
) -> None:
    first = run(NOW - timedelta(days=6))
    refused = run(gate=replace(rules.gate, margin=-1.0))  # nothing is better by so much
    assert not refused.published
    failed = [check.name for check in refused.checks if not check.passed]
    assert refused.reason.startswith(f"{first.model_version} stays: {refused.model_version} did")
    assert all(name in refused.reason for name in failed)
    assert failed
    assert live(places) == [first.model_version]
    folder = Path(places.registry_url)
    assert not (folder / str(refused.model_version)).exists()
    kept = RetrainReport.model_validate_json(
        next((folder / "reports").glob(f"*{refused.model_version}.json")).read_text()
    )
    assert kept == refused

    # with too little sold that the champion does not know nothing is trained
    none = run(gate=replace(rules.gate, min_listings=100))
    assert (none.published, none.model_version) == (False, None)
    assert none.reason.startswith(f"{first.model_version} stays, nothing was trained: 68 sold")
    with pytest.raises(BadDataError, match=r"450 of the 500 examples.*were sold: 460 are needed"):
        run(gate=replace(rules.gate, min_listings=230))


def test_of_two_at_once_one_is_refused_and_writes_nothing(
    run: Callable[..., RetrainReport], places: Places
) -> None:
    with (
        RegistryLock(places.registry_url, LOCK),
        pytest.raises(LockedError, match="another job"),
    ):
        run()
    announced_nothing(places)


@pytest.mark.parametrize("meanwhile", ["lock lost", "other model"])
def test_what_happened_meanwhile_keeps_it_from_publishing(
    places: Places, rules: Rules, red_bundle: Path, meanwhile: str
) -> None:
    folder = Path(places.registry_url)

    def at_the_end(stage: str, done: int, total: int) -> None:
        if not stage.startswith("joint, slower"):
            return
        if meanwhile == "lock lost":
            (folder / "locks" / f"{LOCK}-00000002.json").write_text('{"until": 0}')
        else:
            registry = ModelRegistry(places.registry_url)
            announce(
                red_bundle,
                registry,
                places.options,
                topic=places.topic,
                role=ModelRole.LIVE,
                share=None,
            )

    error = LockedError if meanwhile == "lock lost" else WorkersError
    with pytest.raises(error, match="nothing was published"):
        retrain(places, rules, now=NOW, report=at_the_end)
    if meanwhile == "lock lost":
        announced_nothing(places)
    else:
        assert live(places) == [read_bundle(red_bundle).manifest.model_version]


def test_one_category_is_enough_and_is_said(
    places: Places, rules: Rules, shop: Shop, tmp_path: Path
) -> None:
    store = ExampleStore(str(tmp_path / "of-one"))
    store.append([e for e in shop.examples if e.category == "Home > Big"])
    found = retrain(
        replace(places, examples=store),
        replace(rules, held_least=40, gate=replace(rules.gate, min_listings=20)),
        now=NOW,
        report=lambda *_: None,
    )
    assert found.categories == 1
    assert "all are of one category" in found.for_people()
    assert found.model_version is not None


def test_extractors_that_are_old_are_tuned_anew_and_others_are_kept(
    places: Places, rules: Rules, shop: Shop, tmp_path: Path, colour_backbone: Any
) -> None:
    """What is tuned is not the subject here: that the age, and the tuning before, decide is."""
    learnt, _ = divided(shop.examples, NOW)
    asked: list[str] = []

    def named(name: str) -> Any:
        asked.append(name)
        raise UnknownBackboneError("asked for")

    def choose(age: timedelta, described: Any) -> str:
        bundle = read_bundle(write_red_bundle(tmp_path / "red"))
        manifest = bundle.manifest.model_copy(update={"training": {"extractors": described}})
        event = SimpleNamespace(published_at=NOW - age)
        before: Any = Champion(event, replace(bundle, manifest=manifest))  # type: ignore[arg-type]
        return choose_images(
            before,
            learnt[:3],
            places.shelf,
            tmp_path,
            extractors=replace(rules.extractors, named=named),
            currency="GBP",
            now=NOW,
            seed=0,
            report=lambda *_: None,
        ).why

    tuned = {"depth": "frozen", "tasks": ["brand"], "base": True, "epochs": 3}
    assert choose(timedelta(days=900), None) == "the champion's: pretrained, they stay"
    assert choose(timedelta(days=89), tuned) == "the champion's: 89 days old"
    with pytest.raises(UnknownBackboneError):
        choose(timedelta(days=90), tuned)
    assert asked == ["red"]  # the backbone of the champion


def test_a_killed_job_leaves_nothing_half_done_and_the_next_one_publishes(
    run: Callable[..., RetrainReport], places: Places, shop: Shop, kafka: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.workers.retrain.killed", str(tmp_path)]
    command += [str(shop.folder), kafka, places.topic, NOW.isoformat()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as job:
        assert job.stdout is not None
        told = next((line for line in job.stdout if line.startswith("joint")), None)
        assert told is not None, "it ended before"
        job.kill()
    announced_nothing(places)
    with pytest.raises(LockedError, match="it is free in"):
        run()
    (lock,) = (Path(places.registry_url) / "locks").iterdir()
    lock.write_text(json.dumps({**json.loads(lock.read_text()), "until": 0}))  # time passes

    found = run()

    assert found.published, found.for_people()
    read_bundle(Path(places.registry_url) / str(found.model_version))
    assert live(places) == [found.model_version]
