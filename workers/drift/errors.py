"""How far suggestions were from what things sold for: by the age of the model, by category."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log

from workers.examples.example import Decision, Example
from workers.retrain.window import is_sold

_WEEK = timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class MeanError:
    """The MALE of some suggestions: mean absolute error of log price."""

    count: int
    male: float


def scored(examples: Iterable[Example]) -> list[tuple[Example, float]]:
    """Return the examples that were told a price and sold, with the error of log price."""
    return [
        (each, abs(log(each.suggested_minor / each.sold_minor)))
        for each in examples
        if each.decision is Decision.PRICE
        and each.suggested_minor
        and is_sold(each)
        and each.sold_minor
    ]


def mean_error(found: Sequence[float]) -> MeanError | None:
    """Return their mean, None of none."""
    return MeanError(len(found), sum(found) / len(found)) if found else None


def by_age(examples: Sequence[Example]) -> dict[int, MeanError]:
    """Return the errors by how many weeks the model had been answering, over all models.

    A model's first listing among the examples begins its first week.
    """
    first: dict[str, datetime] = {}
    for each in examples:
        if each.model_version is not None:
            first[each.model_version] = min(
                each.listed_at, first.get(each.model_version, each.listed_at)
            )
    found: dict[int, list[float]] = defaultdict(list)
    for each, error in scored(examples):
        if each.model_version is not None:
            found[(each.listed_at - first[each.model_version]) // _WEEK].append(error)
    return {week: _mean(found[week]) for week in sorted(found)}


def by_category(examples: Iterable[Example]) -> dict[str, MeanError]:
    """Return the errors by category path."""
    found: dict[str, list[float]] = defaultdict(list)
    for each, error in scored(examples):
        found[each.category].append(error)
    return {name: _mean(found[name]) for name in sorted(found)}


def _mean(errors: Sequence[float]) -> MeanError:
    return MeanError(len(errors), sum(errors) / len(errors))
