"""Several models in one processor: who answers, from which features, and into which topic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from models.pricer import Pricer
from schemas.suggestion import PriceSuggested
from tests.workers.suggest.conftest import MeanPricer, Scene
from workers.runtime.processing import Output
from workers.suggest.lineup import Lineup

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from workers.suggest.processor import SuggestProcessor

SELLERS = [f"seller-{number}" for number in range(20)]
Start = Callable[..., "SuggestProcessor"]


def lineup(live: MeanPricer, canary: MeanPricer | None = None, **more: object) -> Lineup:
    shadow = more.get("shadow")
    return Lineup(
        cast(Pricer, live),
        cast(Pricer, canary) if canary else None,
        cast(float, more.get("share", 0.0)),
        cast(Pricer, shadow) if shadow else None,
    )


def price(output: object) -> tuple[str, str, int]:
    assert isinstance(output, Output)
    event = Scene.read(output)
    assert isinstance(event, PriceSuggested)
    return output.topic, event.model_version, event.price_minor


def test_each_seller_is_answered_by_one_model_which_the_answer_names(
    scene: Scene, start: Start
) -> None:
    live, canary = MeanPricer("live"), MeanPricer("canary", factor=2)
    now = lineup(live, canary, share=0.5)
    processor = start(lineup=lambda: now)
    records = [
        scene.record(scene.enriched(scene.grey(100), seller=seller), offset=number)
        for number, seller in enumerate(SELLERS)
    ]

    found = [price(output) for output in scene.processed(processor, records)]

    expected = [now.answering(seller)[1].version for seller in SELLERS]
    assert {*expected} == {"live", "canary"}
    prices = {"live": 1000, "canary": 2000}
    assert found == [("price.suggested", version, prices[version]) for version in expected]
    assert live.passes + canary.passes == [20]  # equal networks: one pass for both


def test_a_shadow_answers_beside_the_others_and_is_not_counted_as_an_answer(
    scene: Scene, start: Start, registry: CollectorRegistry
) -> None:
    live, shadow = MeanPricer("live"), MeanPricer("shadow", factor=3, size=2)
    processor = start(lineup=lambda: lineup(live, shadow=shadow))
    records = [scene.record(scene.enriched(scene.grey(g)), offset=g) for g in (100, 120)]

    found = [price(output) for output in scene.processed(processor, records)]
    processor.committed({})

    assert found == [
        ("price.suggested", "live", 1000),
        ("price.shadow", "shadow", 3000),
        ("price.suggested", "live", 1200),
        ("price.shadow", "shadow", 3600),
    ]
    assert live.passes == shadow.passes == [2]  # other photos, so passes of their own
    assert registry.get_sample_value("secondsight_suggestions_total") == 2
    for version, role in (("live", "live"), ("shadow", "shadow")):
        labels = {"version": version, "role": role, "decision": "price"}
        assert registry.get_sample_value("secondsight_model_answers_total", labels) == 2


def test_a_listing_is_answered_by_the_models_of_when_it_arrived(scene: Scene, start: Start) -> None:
    now = lineup(MeanPricer("old"))
    processor = start(lineup=lambda: now)
    before = [scene.record(scene.enriched(scene.grey(100)), offset=n) for n in (0, 1)]
    after = scene.record(scene.enriched(scene.grey(100)), offset=2)

    processor.arrived(before)
    now = lineup(MeanPricer("new", factor=2, size=2))
    processor.arrived([after])
    found = [price(output) for output in scene.processed(processor, [*before, after])]

    assert found == [
        ("price.suggested", "old", 1000),
        ("price.suggested", "old", 1000),
        ("price.suggested", "new", 2000),
    ]
    # A batch that comes again after an abort still has its photos, and its model.
    processor.aborted()
    assert [price(output)[1] for output in scene.processed(processor, before)] == ["old", "old"]
