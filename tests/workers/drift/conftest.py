"""The small market of the tests of retraining, with a live model of its first half."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.workers.retrain.conftest import START, Shop, places_in, rules_for, shop
from workers.drift.report import DriftReport
from workers.drift.watch import Limits, Sources, look_for_drift
from workers.examples.example import Example
from workers.retrain.job import Places, retrain

__all__ = ["shop"]

NOW = START + timedelta(hours=500, days=3)
EARLY = NOW - timedelta(days=8)
LIMITS = Limits(
    days=30,
    sample=1_000,
    psi=0.2,
    error_growth=1.25,
    pause=timedelta(days=1),
    max_ahead=timedelta(minutes=10),
)


@dataclass
class Watched:
    """A registry with a live model, and the examples that came since."""

    places: Places
    version: str
    learnt_until: datetime
    later: Sequence[Example]

    def look(self, changed: Callable[[Example], Example], **limits: Any) -> DriftReport:
        """Store what came later, changed, and look for drift."""
        self.places.examples.append(
            changed(each.model_copy(update={"model_version": self.version, "revision": 9}))
            for each in self.later
        )
        places = self.places
        return look_for_drift(
            Sources(
                examples=places.examples,
                registry_url=places.registry_url,
                shelf=places.shelf,
                options=places.options,
                topic=places.topic,
            ),
            Limits(**{**{name: getattr(LIMITS, name) for name in LIMITS.__slots__}, **limits}),
            now=NOW,
            report=lambda *_: None,
        )


@pytest.fixture
def watched(
    shop: Shop,
    kafka: str,
    topic_prefix: str,
    make_topic: Callable[..., str],
    tmp_path: Path,
    colour_backbone: Any,
) -> Watched:
    topic = make_topic(f"{topic_prefix}models", config={"cleanup.policy": "compact"})
    places = places_in(tmp_path, shop.folder, kafka, topic)
    places.examples.append(each for each in shop.examples if each.known_at <= EARLY)
    first = retrain(places, rules_for(colour_backbone), now=EARLY, report=lambda *_: None)
    assert first.published, first.for_people()
    assert first.model_version is not None
    known = [each for each in shop.examples if each.known_at <= EARLY]
    learnt = sorted(known, key=lambda each: each.listed_at)[: first.learnt]
    return Watched(
        places,
        first.model_version,
        learnt[-1].listed_at,
        [each for each in shop.examples if each.listed_at > learnt[-1].listed_at],
    )
