"""A figure over several runs, and how it reads."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a figure is of: it decides how it reads."""

    COUNT = "count"
    SHARE = "share"
    ERROR = "error"
    """In natural log of price."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one or more runs, mean ± standard deviation over the runs.

    `runs` are the values, one at least.
    """

    kind: Kind
    runs: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the runs."""
        return statistics.fmean(self.runs)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the runs (of a sample); None of a single one."""
        return statistics.stdev(self.runs) if len(self.runs) > 1 else None

    def __str__(self) -> str:
        mean = _written(self.kind, self.mean)
        if self.deviation is not None:
            mean = f"{mean} ± {_written(self.kind, self.deviation)}"
        return f"{mean} %" if self.kind is Kind.SHARE else mean


def figure(kind: Kind, runs: Sequence[float | None]) -> Figure | None:
    """Return the figure of the runs that have a value; None where none has."""
    known = tuple(run for run in runs if run is not None)
    return Figure(kind, known) if known else None


def _written(kind: Kind, value: float) -> str:
    match kind:
        case Kind.COUNT:
            return f"{value:,.0f}"
        case Kind.SHARE:
            return f"{100 * value:.1f}"
        case Kind.ERROR:
            return f"{value:.3f}"
