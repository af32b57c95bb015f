"""What was compared and found, for people and for machines."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from schemas.base import UtcTime


class ColumnDrift(BaseModel):
    """How far one column has moved; see `models.drift.measures.Drift`."""

    model_config = ConfigDict(frozen=True)

    name: str
    psi: float
    by_chance: float
    ks: float | None
    p_value: float | None
    beyond: bool


class GroupError(BaseModel):
    """The MALE of some suggestions, in log price."""

    model_config = ConfigDict(frozen=True)

    name: str
    count: int
    male: float


class DriftReport(BaseModel):
    """One look at drift.

    Attributes:
        at: when.
        model_version: of the live model.
        reference: how many listings it was compared with, listed from `reference_start` to
            `reference_end`.
        reference_of: what these are.
        current: how many listings of now, from `current_start` on.
        columns: of both.
        error: MALE of what is listed now and has sold.
        errors_scored: how many those are.
        expected_error: the model's own, of when it was made; None where it was not measured.
        by_age: MALE by the weeks for which a model had been answering.
        by_category: MALE of what is listed now.
        reasons: why a new model is needed; empty where none is.
        requested: whether one was asked for.
        says: what came of it, in one sentence.
    """

    model_config = ConfigDict(frozen=True)

    at: UtcTime
    model_version: str
    reference: int
    reference_of: str
    reference_start: UtcTime | None = None
    reference_end: UtcTime | None = None
    current: int
    current_start: UtcTime
    columns: tuple[ColumnDrift, ...] = ()
    error: float | None = None
    errors_scored: int = 0
    expected_error: float | None = None
    by_age: tuple[GroupError, ...] = ()
    by_category: tuple[GroupError, ...] = ()
    reasons: tuple[str, ...] = ()
    requested: bool = False
    says: str

    @property
    def growth(self) -> float | None:
        """How many times the expected error the present one is."""
        if self.error is None or not self.expected_error:
            return None
        return self.error / self.expected_error

    def for_people(self) -> str:
        """Return the report as lines of text."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self.says
        yield (
            f"{self.model_version}: {self.current:,} listings since {_day(self.current_start)} "
            f"beside {self.reference:,} {self.reference_of}"
        )
        if self.error is not None:
            expected = "not known" if self.expected_error is None else f"{self.expected_error:.3f}"
            yield (
                f"error of {self.errors_scored:,} that have sold: {self.error:.3f}, "
                f"expected {expected}"
            )
        for column in sorted(self.columns, key=lambda each: -each.psi):
            ks = "" if column.ks is None else f"  KS {column.ks:.3f} (p {column.p_value:.1e})"
            mark = "NO" if column.beyond else "ok"
            yield f"{mark}  {column.name:<28} PSI {column.psi:.3f}{ks}"
        for group in self.by_age:
            yield f"    week {group.name} of a model: MALE {group.male:.3f} of {group.count:,}"

    def line(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return self.model_dump(mode="json") | {"growth": self.growth}


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
