"""Stages of the demo: named, timed, and shown on stderr while they run."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

PLAIN_INTERVAL_S = 10.0  # between lines of one stage where stderr is no terminal


class Stages:
    """Shows the stages on a terminal as bars, elsewhere as plain lines.

    Attributes:
        seconds: how long each finished stage took, by its name.
    """

    def __init__(self, console: Console) -> None:
        self.seconds: dict[str, float] = {}
        self._console = console

    @contextmanager
    def stage(self, name: str, title: str, *, total: int | None = None) -> Iterator["Stage"]:
        """Run one stage: its time is taken, and it is said to have failed if the block raises.

        Args:
            name: key of its seconds.
            title: what is done, for people.
            total: how many steps it has, where that is known.
        """
        started = time.monotonic()
        if self._console.is_terminal:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}", style="dim"),
            )
            with Progress(*columns, console=self._console, transient=True) as progress:
                task = progress.add_task(title, total=total, note="")
                stage = Stage(_bar(progress, task), total)
                yield from self._timed(stage, title, started)
        else:
            self._console.print(f"{title} ...", highlight=False, markup=False)
            stage = Stage(_lines(self._console), total)
            yield from self._timed(stage, title, started)
        self.seconds[name] = round(time.monotonic() - started, 1)

    def say(self, sentence: str) -> None:
        """Tell a sentence, above the bars."""
        self._console.print(f"  {sentence}", highlight=False, markup=False)

    def _timed(self, stage: "Stage", title: str, started: float) -> Iterator["Stage"]:
        try:
            yield stage
        except BaseException:
            self._tell("[red]✗[/]", title, started, stage)
            raise
        self._tell("[green]✓[/]", title, started, stage)

    def _tell(self, mark: str, title: str, started: float, stage: "Stage") -> None:
        seconds = time.monotonic() - started
        count = f": {stage.done:,}" if stage.counts else ""
        self._console.print(f"{mark} {escape(title)}{count} ({seconds:.1f} s)", highlight=False)


class Stage:
    """A running stage, shown as a bar or as lines.

    Attributes:
        done: steps done.
        total: steps in all, None where that is not known.
        counts: whether the steps are things to be counted, as listings are.
    """

    def __init__(self, show: Callable[["Stage", str], None], total: int | None) -> None:
        self.done = 0
        self.total = total
        self.counts = total is not None
        self._show = show

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count steps done; `note` says what is under way."""
        self.reach(self.done + steps, note)

    def reach(self, done: int, note: str = "", *, total: int | None = None) -> None:
        """Say how many steps are done in all; `total` sets or corrects how many there are."""
        self.done = done
        if total is not None:
            self.total = total
        self._show(self, note)


def _bar(progress: Progress, task: TaskID) -> Callable[[Stage, str], None]:
    def show(stage: Stage, note: str) -> None:
        progress.update(task, completed=stage.done, total=stage.total, note=note)

    return show


def _lines(console: Console) -> Callable[[Stage, str], None]:
    next_line = time.monotonic() + PLAIN_INTERVAL_S

    def show(stage: Stage, note: str) -> None:
        nonlocal next_line
        if time.monotonic() < next_line:
            return
        next_line = time.monotonic() + PLAIN_INTERVAL_S
        of = f" of {stage.total}" if stage.total is not None else ""
        console.print(f"  {stage.done}{of} {note}".rstrip(), highlight=False, markup=False)

    return show
