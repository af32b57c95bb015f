"""The loop of retraining on dated sales: the networks on statistics and category alone."""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from benchmarks.dated.medians import errors_of
from benchmarks.dated.quarters import mean_by_quarter, quarters_of
from benchmarks.year.model import Features, Model, log_prices, train
from benchmarks.year.rounds import Round
from models.errors import TrainingError
from models.gate.answers import Floats
from workers.examples.example import Example
from workers.retrain.parts import divide
from workers.runtime.settings import Settings

WINDOW = timedelta(days=Settings.model_fields["retrain_window_days"].default)
FIRST = 0.2  # of the time that the sales span: what the first model learns from
RETRAINED, NEVER, UNGATED = "retrained by the gate", "never retrained", "retrained, no gate"
MEDIAN = "median of the category"


class Loop:
    """The models in the order of time, and their errors on what was sold while they answered."""

    def __init__(self, examples: Sequence[Example], *, every: timedelta, seed: int) -> None:
        """Train the first model.

        Args:
            examples: sales in one currency with statistics, by time.
            every: time between two retrainings.
            seed: of the trainings and the gate.

        Raises:
            TrainingError, DatasetError: the first fifth of the time has too few sales.
        """
        self._examples, self._every, self._seed = examples, every, seed
        self._moments = np.array([each.listed_at.timestamp() for each in examples])
        span = examples[-1].listed_at - examples[0].listed_at
        self._begin = examples[0].listed_at + FIRST * span
        first = self._round(self._begin, None)
        model = train(first.learnt, first.features, seed=seed)
        self._models = {RETRAINED: model, NEVER: model, UNGATED: model}
        self._counts: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._errors: dict[str, list[Floats]] = defaultdict(list)
        self._surest: dict[str, list[Floats]] = defaultdict(list)

    def run(self) -> dict[str, Any]:
        """Go through the time that is left; return the figures."""
        now = self._begin
        number = 0
        while now <= self._examples[-1].listed_at:
            began = time.perf_counter()
            if number:
                self._retrain(now, number)
            self._measure(self._between(now, now + self._every))
            seconds = time.perf_counter() - began
            latest = {
                name: round(float(found[-1].mean()), 4) for name, found in self._errors.items()
            }
            print(f"{now.date()}: {latest} {seconds:.0f} s", file=sys.stderr)
            now += self._every
            number += 1
        return self._figures()

    def _between(self, start: datetime, end: datetime) -> Sequence[Example]:
        first, last = np.searchsorted(self._moments, [start.timestamp(), end.timestamp()])
        return self._examples[first:last]

    def _round(self, now: datetime, champion: Model | None) -> Round:
        parts = divide(
            self._between(now - WINDOW, now),
            champion_until=champion.listed_until if champion else None,
        )
        learnt, held = list(parts.learnt), list(parts.held)
        return Round(learnt, _no_photos(learnt), held, _no_photos(held))

    def _retrain(self, now: datetime, number: int) -> None:
        champion = self._models[RETRAINED]
        of_now = self._round(now, champion)
        if not of_now.enough:
            self._counts["too few new sales"] += 1
            return
        try:
            challenger = train(
                of_now.learnt, of_now.features, seed=self._seed + number, parent=champion
            )
        except TrainingError as error:
            self._counts["training gave up"] += 1
            print(error, file=sys.stderr)
            return
        self._models[UNGATED] = challenger
        verdict = of_now.verdict(champion, challenger, self._seed)
        if verdict.publish:
            self._models[RETRAINED] = challenger
            self._counts["published"] += 1
            return
        self._counts["refused"] += 1
        self._failed.update(check.name for check in verdict.checks if not check.passed)
        print(verdict.report(), file=sys.stderr)

    def _measure(self, sold: Sequence[Example]) -> None:
        if not sold:
            return
        prices = log_prices(sold)
        statistics = [each.statistics for each in sold]
        categories = [each.category for each in sold]
        self._errors[MEDIAN].append(errors_of(sold, [each.category for each in statistics]))
        for name, model in self._models.items():
            answers = model.answers(_no_photos(sold), statistics, categories)
            errors = np.abs(answers.log_price - prices)
            surest = np.argsort(-answers.score, kind="stable")[: (len(sold) + 1) // 2]
            self._errors[name].append(errors)
            self._surest[name].append(errors[surest])

    def _figures(self) -> dict[str, Any]:
        errors = {name: np.concatenate(found) for name, found in self._errors.items()}
        surest = {name: np.concatenate(found) for name, found in self._surest.items()}
        measured = self._examples[-len(errors[NEVER]) :]
        quarters = quarters_of([each.listed_at for each in measured])
        return {
            "sales": len(measured),
            "male": {name: round(float(found.mean()), 4) for name, found in errors.items()},
            "male_of_surest_half": {
                name: round(float(found.mean()), 4) for name, found in surest.items()
            },
            "by_quarter": {
                name: mean_by_quarter(found, quarters) for name, found in errors.items()
            },
            "retrained_over_never": round(
                float(errors[RETRAINED].mean() / errors[NEVER].mean()), 4
            ),
            "retrainings": dict(self._counts),
            "refused_for": dict(self._failed),
        }


def _no_photos(examples: Sequence[Example]) -> Features:
    return np.zeros((len(examples), 0), np.float32)
