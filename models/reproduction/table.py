"""A table for people and programs."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.reproduction.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Figures in rows and columns, and what they say.

    Attributes:
        number: as in the paper; 6 is ours.
        title: what it shows.
        header: names of the columns; the first one names the rows.
        rows: the name of each, then a figure for each further column, None where there is none.
        sentences: what is found again of the paper's directions.
        remarks: which trainings ended badly, and why.
    """

    number: int
    title: str
    header: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Figure | None]]]
    sentences: Sequence[str] = ()
    remarks: Sequence[str] = ()

    def texts(self) -> list[list[str]]:
        """Return the rows as they read."""
        return [[name, *(str(cell or "–") for cell in cells)] for name, cells in self.rows]
