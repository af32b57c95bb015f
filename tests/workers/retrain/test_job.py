"""The whole of a retraining, on a real broker: publication, refusal, and what is left behind."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from models.bundle.folder import read_bundle
from models.extractors.extraction import extract
from models.pricer import Pricer
from schemas.model import ModelRole
from tests.workers.retrain.conftest import START, Shop
from workers.examples.example import Example, Outcome
from workers.registry.announcing import announcements
from workers.registry.reports import RetrainRecords
from workers.retrain.job import Places, Rules, retrain
from workers.retrain.report import RetrainReport

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
