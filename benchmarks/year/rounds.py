"""One week's retraining, by the code of `secondsight retrain`: window, parts and verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from benchmarks.year.model import OBJECTIVE, Asked, Features, Model, asked, example_of, log_prices
from benchmarks.year.world import STATISTICS, World
from models.gate.answers import Sold
from models.gate.judge import judge
from models.gate.poisoning import Price, poisoning_check
from models.gate.rules import GateRules
from models.gate.verdict import Verdict
from models.joint.ranges import RANGE_PROBABILITY
from workers.examples.example import Example
from workers.retrain.crowding import uncrowded
from workers.retrain.parts import divide

WINDOW = timedelta(weeks=16)
SELLER_SHARE = 0.1
RULES = GateRules()


class Shelf:
    """All examples of a world with the features of their photos."""

    def __init__(self, world: World) -> None:
        self.examples = [example_of(thing) for thing in world.things]
        self._features = {f"l{thing.number}": thing.features for thing in world.things}
        self.world = world

    def features(self, examples: Sequence[Example]) -> Features:
        """Return the features of examples, `[N, D]`."""
        return np.stack([self._features[example.listing_id] for example in examples])

    def window(self, week: int, *, delayed: bool = True) -> list[Example]:
        """Return the window at the start of a week, by time of listing.

        Args:
            week: of the year.
            delayed: only what is known by then, as in truth; else all that is listed by then,
                what it will sell for included.
        """
        now = self.world.starts(week)
        inside = [
            example
            for example in self.examples
            if now - WINDOW <= example.listed_at < now and (not delayed or example.known_at <= now)
        ]
        return sorted(uncrowded(inside, SELLER_SHARE), key=lambda each: each.listed_at)


@dataclass(frozen=True, slots=True)
class Round:
    """What a week's challenger learns from and is judged on.

    Attributes:
        learnt: examples, by time.
        features: of their photos.
        held: sold examples that neither model knows.
        held_features: of theirs.
    """

    learnt: list[Example]
    features: Features
    held: list[Example]
    held_features: Features

    @classmethod
    def of_week(cls, shelf: Shelf, week: int, champion: Model | None) -> "Round":
        """Divide the window of a week."""
        parts = divide(
            shelf.window(week), champion_until=champion.listed_until if champion else None
        )
        learnt, held = list(parts.learnt), list(parts.held)
        return cls(learnt, shelf.features(learnt), held, shelf.features(held))

    @property
    def enough(self) -> bool:
        """Whether there is enough to judge by; else nothing is trained."""
        return len(self.held) >= RULES.min_listings

    def verdict(self, champion: Asked | None, challenger: Asked, seed: int) -> Verdict:
        """Return what the gate says."""
        categories = [example.category for example in self.held]
        statistics = [example.statistics for example in self.held]

        def priced(model: Asked) -> Price:
            return lambda told: model.answers(self.held_features, told, categories).log_price

        poisoning = poisoning_check(
            priced(challenger),
            None if champion is None else priced(champion),
            statistics,
            categories,
            challenger.snapshot,
            seller_cap=STATISTICS.seller_cap,
            rules=RULES,
        )
        return judge(
            None if champion is None else asked(champion, self.held, self.held_features),
            asked(challenger, self.held, self.held_features),
            Sold(
                log_price=log_prices(self.held),
                categories=categories,
                sellers=[example.seller_id for example in self.held],
            ),
            rules=RULES,
            range_probability=RANGE_PROBABILITY,
            epsilon=OBJECTIVE.epsilon,
            coverage=OBJECTIVE.delta,
            seed=seed,
            further=(poisoning,),
        )
