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
gate, swapped currency) are held against that week's champion, and twenty that are better against a
champion with a handicap. What a thousand fake sales do is checked each time.

    python benchmarks/simulated_year.py [--seed S] [--weeks N] [--listings-a-week N]
"""

import argparse
import json
import os
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # for benchmarks.year, run from anywhere

from benchmarks.year.challengers import BAD, HANDICAPS
from benchmarks.year.model import Asked, Model, example_of, features_of, train
from benchmarks.year.rounds import RULES, Round, Shelf
from benchmarks.year.world import YEAR, Thing, World, honest

OF_LAW_EVERY = 4
OF_LAW = 4_000
PLANTED_AT = (12, 22, 35, 46)  # weeks
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
        self.champions: dict[int, Model] = {}

    def run(self) -> None:
        """Go through the year."""
        for week in range(self.world.weeks):
            began = time.perf_counter()
            if week:
                self._retrain(week)
            self.champions[week] = self.champion
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
        challenger = train(
            of_week.learnt, of_week.features, seed=self.seed + week, parent=self.champion
        )
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


def plant(year: Year, weeks: tuple[int, ...]) -> dict[str, Any]:
    """Hold planted challengers against champions; return what was published."""
    bad: list[tuple[str, bool, float]] = []
    good: list[tuple[str, bool, float]] = []
    for variant, week in enumerate(weeks):
        truth = year.world.more_of(week, 3_000, seed=2)
        champion = year.champions[week]
        of_week = Round.of_week(year.shelf, week, champion)
        for number, (name, make) in enumerate(BAD.items()):
            seed = year.seed + 100 * week + number
            bad.append(_judged(name, of_week, champion, make(of_week, variant, seed), truth, seed))
        older: dict[str, Asked] = {
            name: make(of_week, variant, year.seed + 100 * week + 50 + number)
            for number, (name, make) in enumerate(HANDICAPS.items())
        }
        older["grown old"] = year.first
        for number, (name, handicapped) in enumerate(older.items()):
            seed = year.seed + 100 * week + 70 + number
            challenger = train(of_week.learnt, of_week.features, seed=seed)
            good.append(_judged(name, of_week, handicapped, challenger, truth, seed))
    return {
        "bad_planted": len(bad),
        "bad_published": sum(published for _, published, _ in bad),
        "good_planted": len(good),
        "good_published": sum(published for _, published, _ in good),
        "bad_of_best_half_worse_by": [round(worse, 3) for _, _, worse in bad],
        "good_of_best_half_worse_by": [round(worse, 3) for _, _, worse in good],
    }


def _judged(
    name: str, of_week: Round, champion: Asked, challenger: Asked, truth: list[Thing], seed: int
) -> tuple[str, bool, float]:
    """Return whether it is published, and by how much its best half is worse in truth."""
    verdict = of_week.verdict(champion, challenger, seed)
    worse = errors(challenger, truth)[1] - errors(champion, truth)[1]
    failed = [check.name for check in verdict.checks if not check.passed]
    says = "published" if verdict.publish else f"refused: {', '.join(failed)}"
    print(f"{name}: in truth {worse:+.3f}, {says}", file=sys.stderr)
    return name, verdict.publish, worse


def run(seed: int, weeks: int, a_week: int) -> dict[str, Any]:
    """Return the last line."""
    began = time.perf_counter()
    year = Year(World(seed, a_week=a_week, weeks=weeks), seed)
    year.run()
    planted = plant(year, tuple(week for week in PLANTED_AT if week < weeks))
    male = {
        name: round(float(np.mean([each for _, each, _ in found])), 4)
        for name, found in year.found.items()
    }
    return {
        "seed": seed,
        "weeks": weeks,
        "listings": len(year.world.things),
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
        "retrainings_without_enough": year.not_trained,
        "refused_for": dict(year.failed),
        "fake_sales_allowed_to_move": RULES.poison_epsilon,
        **planted,
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
    arguments = parser.parse_args()
    if not 1 <= arguments.weeks <= YEAR or arguments.listings_a_week < 100:
        parser.error("1 to 52 weeks, and at least 100 listings a week")
    print(json.dumps(run(arguments.seed, arguments.weeks, arguments.listings_a_week)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
