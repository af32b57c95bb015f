"""A display of many trainings on stderr: bars on a terminal, lines elsewhere."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from models.reproduction.cell import Outcome
from models.reproduction.estimate import seconds_left
from models.reproduction.grid import Cell


class CellsDisplay:
    """Shows the stages before the trainings, the trainings, and about how long they will take.

    On a terminal each training that runs has a bar, above it stands what the last ones came to.
    Elsewhere each stage and each training has one line, when it is done.
    """

    def __init__(self, console: Console | None = None) -> None:
        """Write to stderr unless it is said otherwise."""
        self._console = console or Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._stages: dict[str, TaskID] = {}
        self._running: dict[Cell, TaskID] = {}
        self._finished_stages: set[str] = set()
        self._left: list[Cell] = []
        self._took: list[tuple[Cell, float]] = []
        self._cells: TaskID | None = None
        self._total = 0
        self._jobs = 1

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps of a stage are done."""
        if name not in self._stages:
            self._stages[name] = self._bars.add_task(name, total=total, left="")
        self._bars.update(self._stages[name], completed=done, total=total)
        if done >= total and name not in self._finished_stages:
            self._finished_stages.add(name)
            self._line(f"{name}: {total:,}")

    def begin(self, left: Sequence[Cell], known: Mapping[Cell, Outcome], jobs: int) -> None:
        """Show how many trainings are left."""
        for bar in self._stages.values():
            self._bars.remove_task(bar)
        self._left, self._jobs = list(left), jobs
        self._took = [(cell, outcome.seconds) for cell, outcome in known.items()]
        self._total = len(left) + len(known)
        self._cells = self._bars.add_task(
            "trainings", total=self._total, completed=len(known), left=self._time_left()
        )
        self._line(f"{len(left)} of {self._total} trainings are left{self._time_left()}")

    def steps(self, cell: Cell, done: int, total: int) -> None:
        """Show how far a training is."""
        if cell not in self._running:
            self._running[cell] = self._bars.add_task(f"  {cell}", total=total, left="")
        self._bars.update(self._running[cell], completed=done, total=total)

    def done(self, cell: Cell, outcome: Outcome) -> None:
        """Show what a training came to."""
        if cell in self._running:
            self._bars.remove_task(self._running.pop(cell))
        self._left.remove(cell)
        self._took.append((cell, outcome.seconds))
        done = self._total - len(self._left)
        if self._cells is not None:
            self._bars.update(self._cells, completed=done, left=self._time_left())
        text = f"{done}/{self._total} {cell}: {_said(outcome)}"
        if self._console.is_terminal:
            self._bars.console.print(text, markup=False, highlight=False)
        self._line(f"{text}{self._time_left()}")

    def _line(self, text: str) -> None:
        if not self._console.is_terminal:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _time_left(self) -> str:
        if not self._left or not self._took:
            return ""
        minutes = seconds_left(self._left, self._took, self._jobs) / 60
        if minutes < 1:
            return ", less than a minute left"
        if minutes < 90:
            return f", about {minutes:.0f} min left"
        return f", about {minutes / 60:.1f} h left"


def _said(outcome: Outcome) -> str:
    measures = outcome.measures
    if measures is None:
        return f"{outcome.error} ({outcome.seconds:.0f} s)"
    male = "-" if measures.male is None else f"{measures.male:.3f}"
    return f"share {measures.share:.1%}, MALE {male} ({outcome.seconds:.0f} s)"
