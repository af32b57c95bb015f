"""A year of a made market: weekly retraining against never and always, and planted challengers.

The market (`benchmarks/year/world.py`) has seasons, a new category, a price shock, new cameras and
a seller who sells to himself a thousand times; statistics go through the real store with a window
of 60 days and a cap of 20 sales a seller. Each week a challenger is trained on the window of 16
weeks by the code of `secondsight retrain` (but for photos and Kafka) and judged by the real gate;
if it passes, it answers from then on.

`excess_over_fresh_oracle`: by how much the error (MALE: mean absolute error of log price) over the
year is above that of a model that is trained anew every week on all that was listed until then,
with what it will sell for, none held apart and no gate. `excess_over_law`: the same against one
that learns from listings drawn by the very week's law, every fourth week. `never_retrained_excess`:
that of the first model, kept, against the fresh oracle. Each on all honest sales of the listings of
a week, and, as `_of_best_half`, on the half of which each model is surest.

Then twenty challengers that are worse (label noise, leaked statistics, truncated data, a collapsed
gate, swapped currency) are held against a champion of four weeks before, and twenty that are better
against a champion with a handicap. What a training itself gives up is not published either. What a
thousand fake sales do is checked each time.

    python benchmarks/simulated_year.py [--seed S] [--weeks N] [--listings-a-week N] [--part year]
"""

import argparse
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # for benchmarks.year, run from anywhere

from benchmarks.year.challengers import BAD, HANDICAPS
from benchmarks.year.model import Asked, example_of, features_of, train
from benchmarks.year.rounds import RULES, Round, Shelf
from benchmarks.year.world import YEAR, Thing, World, honest
from models.errors import TrainingError

OF_LAW_EVERY = 4
OF_LAW = 4_000
PLANTED_AT = (12, 22, 35, 46)  # weeks
CHAMPION_AGE = 4  # weeks, of the champion that planted challengers are held against
REFERENCE = "fresh oracle"


def errors(model: Asked, things: list[Thing]) -> tuple[float, float]:
    """Return the MALE of all, and of the half that the model is surest of."""
    answers = model.answers(
        features_of(things),
        [thing.statistics for thing in things],
        [thing.category for thing in things],
    )
    prices = np.array([thing.price_minor for thing in things], np.float64) / 100
    found = np.abs(answers.log_price - np.log(prices))
    surest = np.argsort(-answers.score, kind="stable")[: len(found) // 2]
    return float(found.mean()), float(found[surest].mean())


class Year:
    """The models of the year and their errors, week by week."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.seed = world, seed
        self.shelf = Shelf(world)
        first = Round.of_week(self.shelf, 0, None)
        self.first = self.champion = train(first.learnt, first.features, seed=seed)
        self.published = self.refused = self.not_trained = 0
        self.failed: Counter[str] = Counter()
        self.found: dict[str, list[tuple[int, float, float]]] = defaultdict(list)

    def run(self) -> None:
        """Go through the year."""
        for week in range(self.world.weeks):
            began = time.perf_counter()
            if week:
                self._retrain(week)
            self._measure(week)
            latest = {name: round(found[-1][1], 4) for name, found in self.found.items()}
            print(
                f"week {week}: {latest} {time.perf_counter() - began:.0f} s",
                file=sys.stderr,
            )

    def _retrain(self, week: int) -> None:
        of_week = Round.of_week(self.shelf, week, self.champion)
        if not of_week.enough:
            self.not_trained += 1
            return
        try:
            challenger = train(
                of_week.learnt, of_week.features, seed=self.seed + week, parent=self.champion
            )
        except TrainingError as error:
            self.not_trained += 1
            print(error, file=sys.stderr)
            return
        verdict = of_week.verdict(self.champion, challenger, self.seed)
        if verdict.publish:
            self.champion = challenger
            self.published += 1
        else:
            self.refused += 1
            self.failed.update(check.name for check in verdict.checks if not check.passed)
            print(verdict.report(), file=sys.stderr)

    def _measure(self, week: int) -> None:
        things = honest(self.world.of_week(week))
        self.found["retrained"].append((week, *errors(self.champion, things)))
        self.found["never retrained"].append((week, *errors(self.first, things)))
        known = self.shelf.window(week, delayed=False)
        fresh = train(known, self.shelf.features(known), seed=self.seed + week)
        self.found[REFERENCE].append((week, *errors(fresh, things)))
        if week % OF_LAW_EVERY == 0:
            drawn = self.world.more_of(week, OF_LAW, seed=1)
            of_law = train(
                [example_of(thing) for thing in drawn], features_of(drawn), seed=self.seed + week
            )
            self.found["of the law"].append((week, *errors(of_law, things)))

    def excess(self, name: str, reference: str, column: int) -> float:
        """Return by what share the mean error is above a reference's, in the weeks of both."""
        of = {found[0]: found[column] for found in self.found[name]}
        others = {found[0]: found[column] for found in self.found[reference]}
        weeks = sorted(of.keys() & others.keys())
        return float(sum(of[w] for w in weeks) / sum(others[w] for w in weeks) - 1)


@dataclass(frozen=True, slots=True)
class Planted:
    """What came of a challenger; `worse`: its best half in truth, None where it was not trained."""

    name: str
    published: bool
    worse: float | None


def plant(world: World, seed: int) -> dict[str, Any]:
    """Hold planted challengers against champions; return what was published."""
    shelf = Shelf(world)
    bad: list[Planted] = []
    good: list[Planted] = []
    for variant, week in enumerate(at for at in PLANTED_AT if at < world.weeks):
        truth = world.more_of(week, 3_000, seed=2)
        before = Round.of_week(shelf, week - CHAMPION_AGE, None)
        champion = train(before.learnt, before.features, seed=seed + week)
        of_week = Round.of_week(shelf, week, champion)
        for number, (name, make) in enumerate(BAD.items()):
            made: Callable[[], Asked] = partial(make, of_week, variant, seed + 100 * week + number)
            bad.append(_judged(name, of_week, champion, made, truth, seed))
        first = Round.of_week(shelf, 0, None)
        older: dict[str, Callable[[], Asked]] = {
            name: partial(make, of_week, variant, seed + 100 * week + 50 + number)
            for number, (name, make) in enumerate(HANDICAPS.items())
        }
        older["grown old"] = partial(train, first.learnt, first.features, seed=seed)
        for number, (name, handicapped) in enumerate(older.items()):
            made = partial(
                train, of_week.learnt, of_week.features, seed=seed + 100 * week + 70 + number
            )
            good.append(_judged(name, of_week, handicapped(), made, truth, seed))
    return {
        "bad_planted": len(bad),
        "bad_published": sum(each.published for each in bad),
        "good_planted": len(good),
        "good_published": sum(each.published for each in good),
        "bad_of_best_half_worse_by": [each.worse for each in bad],
        "good_of_best_half_worse_by": [each.worse for each in good],
    }


def _judged(
    name: str,
    of_week: Round,
    champion: Asked,
    make: Callable[[], Asked],
    truth: list[Thing],
    seed: int,
) -> Planted:
    try:
        challenger = make()
    except TrainingError as error:
        print(f"{name}: its training gave up: {error}", file=sys.stderr)
        return Planted(name, published=False, worse=None)
    verdict = of_week.verdict(champion, challenger, seed)
    worse = round(errors(challenger, truth)[1] - errors(champion, truth)[1], 3)
    failed = [check.name for check in verdict.checks if not check.passed]
    says = "published" if verdict.publish else f"refused: {', '.join(failed)}"
    print(f"{name}: in truth {worse:+.3f}, {says}", file=sys.stderr)
    return Planted(name, verdict.publish, worse)


def of_year(world: World, seed: int) -> dict[str, Any]:
    """Go through the year; return its figures."""
    year = Year(world, seed)
    year.run()
    male = {
        name: round(float(np.mean([each for _, each, _ in found])), 4)
        for name, found in year.found.items()
    }
    return {
        "male": male,
        "excess_over_fresh_oracle": round(year.excess("retrained", REFERENCE, 1), 4),
        "never_retrained_excess": round(year.excess("never retrained", REFERENCE, 1), 4),
        "excess_over_fresh_oracle_of_best_half": round(year.excess("retrained", REFERENCE, 2), 4),
        "never_retrained_excess_of_best_half": round(
            year.excess("never retrained", REFERENCE, 2), 4
        ),
        "excess_over_law": round(year.excess("retrained", "of the law", 1), 4),
        "retrainings_published": year.published,
        "retrainings_refused": year.refused,
        "retrainings_not_trained": year.not_trained,
        "refused_for": dict(year.failed),
    }


def run(seed: int, weeks: int, a_week: int, part: str) -> dict[str, Any]:
    """Return the last line."""
    began = time.perf_counter()
    world = World(seed, a_week=a_week, weeks=weeks)
    found: dict[str, Any] = {"seed": seed, "weeks": weeks, "listings": len(world.things)}
    if part != "planted":
        found |= of_year(world, seed)
    if part != "year":
        found |= plant(world, seed)
    return found | {
        "fake_sales_allowed_to_move": RULES.poison_epsilon,
        "cores": len(os.sched_getaffinity(0)),
        "minutes": round((time.perf_counter() - began) / 60, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weeks", type=int, default=YEAR, help="1 to 52")
    parser.add_argument("--listings-a-week", type=int, default=400)
    parser.add_argument("--part", choices=("year", "planted", "both"), default="both")
    arguments = parser.parse_args()
    if not 1 <= arguments.weeks <= YEAR or arguments.listings_a_week < 100:
        parser.error("1 to 52 weeks, and at least 100 listings a week")
    found = run(arguments.seed, arguments.weeks, arguments.listings_a_week, arguments.part)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
