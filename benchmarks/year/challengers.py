"""Challengers that are planted: twenty that must not be published, twenty that should be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.year.model import Asked, Features, Model, train
from benchmarks.year.rounds import Round
from models.bundle.snapshot import SalesSnapshot
from models.gate.answers import Answers, Floats
from schemas.money import MAX_MINOR_UNITS
from schemas.statistics import Scope, ScopeStatistics, Statistics
from workers.examples.example import Example

Train = Callable[[Round, int, int], Asked]
"""Trains on a round; its second argument numbers the variant, the third is a seed."""


def label_noise(of: Round, variant: int, seed: int) -> Asked:
    """Learn from prices that are off by a factor of up to three or so."""
    rng = np.random.default_rng(seed)
    factors = np.exp(rng.normal(0, (0.6, 0.8, 1.0, 1.2)[variant % 4], len(of.learnt)))
    return train(_priced(of.learnt, factors), of.features, seed=seed)


def leaked_statistics(of: Round, variant: int, seed: int) -> Asked:
    """Learn with the listing's own sale among its seller's: splendid, until it is served."""
    count = (1, 5, 20, 50)[variant % 4]
    return train([_leaked(example, count) for example in of.learnt], of.features, seed=seed)


def truncated_data(of: Round, variant: int, seed: int) -> Asked:
    """Learn from the oldest few examples, as of a job that read one part of many."""
    count = (120, 160, 200, 240)[variant % 4]
    return train(of.learnt[:count], of.features[:count], seed=seed)


def swapped_currency(of: Round, variant: int, seed: int) -> Asked:
    """Learn from prices of which some, or all, are in another currency or unit."""
    rng = np.random.default_rng(seed)
    factor, share = ((1.3, 1.0), (0.75, 1.0), (7.5, 0.5), (0.1, 0.5))[variant % 4]
    swapped = rng.random(len(of.learnt)) < share
    return train(_priced(of.learnt, np.where(swapped, factor, 1.0)), of.features, seed=seed)


def collapsed_gate(of: Round, variant: int, seed: int) -> Asked:
    """Learn well, but accept all, or nothing, or the worst, or whatever."""
    return _Collapsed(train(of.learnt, of.features, seed=seed), variant % 4, seed)


BAD: dict[str, Train] = {
    "label noise": label_noise,
    "leaked statistics": leaked_statistics,
    "truncated data": truncated_data,
    "collapsed gate": collapsed_gate,
    "swapped currency": swapped_currency,
}


def few_examples(of: Round, variant: int, seed: int) -> Asked:
    """A champion of the first days: what it was trained on was little."""
    count = (250, 300, 350, 400)[variant % 4]
    return train(of.learnt[:count], of.features[:count], seed=seed)


def blind(of: Round, variant: int, seed: int) -> Asked:
    """A champion that knows half of what a photo shows, or nothing of it."""
    seen = np.ones(of.features.shape[1], np.float32)
    seen[: (8, 10, 12, 16)[variant % 4]] = 0.0
    return _Blind(train(of.learnt, of.features * seen, seed=seed), seen)


def of_another_market(of: Round, variant: int, seed: int) -> Asked:
    """A champion most of whose statistics were those of other listings."""
    share = (0.7, 0.8, 0.9, 1.0)[variant % 4]
    rng = np.random.default_rng(seed)
    order = np.arange(len(of.learnt))
    of_others = rng.random(len(order)) < share
    order[of_others] = rng.permutation(order[of_others])
    mixed = [
        example.model_copy(update={"statistics": of.learnt[other].statistics})
        for example, other in zip(of.learnt, order, strict=True)
    ]
    return train(mixed, of.features, seed=seed)


HANDICAPS: dict[str, Train] = {
    "few examples": few_examples,
    "label noise": label_noise,
    "blind": blind,
    "of another market": of_another_market,
}
"""What ails a champion that is to be replaced; a fifth one is the first model, grown old."""


@dataclass(frozen=True, slots=True)
class _Collapsed:
    """A model whose gate is broken."""

    model: Model
    how: int
    seed: int

    @property
    def snapshot(self) -> SalesSnapshot:
        return self.model.snapshot

    def answers(
        self, features: Features, statistics: Sequence[Statistics], categories: Sequence[str]
    ) -> Answers:
        found = self.model.answers(features, statistics, categories)
        count = len(found)
        if self.how < 2:
            return replace(found, qualified=np.full(count, self.how == 0))
        score = -found.score
        if self.how == 3:
            score = np.random.default_rng(self.seed).normal(size=count)
        return replace(found, score=score, qualified=score >= np.median(score))


@dataclass(frozen=True, slots=True)
class _Blind:
    """A model that does not see all columns of a photo."""

    model: Model
    seen: Features

    @property
    def snapshot(self) -> SalesSnapshot:
        return self.model.snapshot

    def answers(
        self, features: Features, statistics: Sequence[Statistics], categories: Sequence[str]
    ) -> Answers:
        return self.model.answers(features * self.seen, statistics, categories)


def _priced(examples: Sequence[Example], factors: Floats) -> list[Example]:
    """Return the examples with what they sold for times a factor `[N]`."""
    return [
        example
        if example.sold_minor is None
        else example.model_copy(
            update={"sold_minor": max(1, min(MAX_MINOR_UNITS, round(example.sold_minor * factor)))}
        )
        for example, factor in zip(examples, factors.tolist(), strict=True)
    ]


def _leaked(example: Example, count: int) -> Example:
    price = example.sold_minor
    if price is None:
        return example
    own = ScopeStatistics(
        q1=price, q2=price, q3=price, mean=price, count=count, source=Scope.SELLER
    )
    statistics = example.statistics.model_copy(update={"seller": own})
    return example.model_copy(update={"statistics": statistics})
