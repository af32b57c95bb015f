"""The cells of a grid in several processes, one thread each."""

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from models.errors import ModelsError, TrainingError
from models.reproduction.cell import Conditions, Outcome, run_cell
from models.reproduction.grid import Cell, FeatureSet
from models.reproduction.prepared import Prepared
from models.reproduction.store import CellStore

Steps = Callable[[Cell, int, int], None]
"""Told which cell is trained, its steps done and its steps in all."""

TOLD_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Work:
    """All that a process needs to train any cell: sent to it once, when it starts."""

    data: Mapping[tuple[FeatureSet, int], Prepared]
    conditions: Conditions
    store: CellStore

    def prepared(self, cell: Cell) -> Prepared:
        """Return the data of a cell."""
        return self.data[cell.setting.features, cell.seed]

    def file(self, cell: Cell) -> Path:
        """Return where the outcome of a cell lies, or will."""
        return self.store.path(cell, self.prepared(cell).digest)

    def done(self, cell: Cell) -> Outcome | None:
        """Return the outcome of a cell that was trained before."""
        return self.store.read(cell, self.prepared(cell).digest)

    def do(self, cell: Cell, steps: Steps) -> Outcome:
        """Train a cell, and keep its outcome before it is told.

        Raises:
            ModelsError: the outcome cannot be written.
        """
        prepared = self.prepared(cell)
        outcome = run_cell(
            cell,
            prepared.open(),
            prepared.oracle,
            self.conditions,
            lambda done, total: steps(cell, done, total),
        )
        self.store.write(cell, prepared.digest, outcome)
        return outcome


def train_cells(
    work: Work, cells: Sequence[Cell], *, jobs: int, steps: Steps
) -> Iterator[tuple[Cell, Outcome]]:
    """Train cells and yield each as it is done.

    Args:
        work: the data of all of them.
        cells: in the order in which they are begun.
        jobs: processes; with 1 it is this one, with all the threads it has.
        steps: told of progress, at most twice a second.

    Raises:
        ModelsError: an outcome cannot be written.
        TrainingError: a process was ended from outside, by want of memory for instance.
    """
    if min(jobs, len(cells)) <= 1:
        for cell in cells:
            yield cell, work.do(cell, _now_and_then(steps))
        return
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(_Worker(work)) for _ in range(min(jobs, len(cells)))]
        waiting = iter(cells)
        busy = {worker.connection: worker for worker in workers if worker.begin(waiting)}
        while busy:
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                message = worker.message()
                if isinstance(message, Outcome):
                    yield worker.cell, message
                    if not worker.begin(waiting):
                        del busy[worker.connection]
                else:
                    steps(worker.cell, *message)


class _Worker:
    """A process that trains one cell after the other until its connection is closed."""

    cell: Cell

    def __init__(self, work: Work) -> None:
        # spawn: a process that is forked beside the threads of torch may stand still for ever
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=_serve, args=(theirs, work), daemon=True
        )
        self._theirs = theirs

    def __enter__(self) -> "_Worker":
        self._process.start()
        self._theirs.close()  # so that its end is seen here
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self._process.terminate()
        self._process.join()

    def begin(self, waiting: Iterator[Cell]) -> bool:
        """Send the next cell, if there is one."""
        cell = next(waiting, None)
        if cell is None:
            return False
        self.cell = cell
        with contextlib.suppress(ConnectionError):  # `message` tells of a process that is gone
            self.connection.send(cell)
        return True

    def message(self) -> "Outcome | tuple[int, int]":
        """Return what the process says next."""
        try:
            message: Outcome | tuple[int, int] | ModelsError = self.connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            raise TrainingError(
                f"the process that trained {self.cell} ended with code {self._process.exitcode}; "
                "if memory is short, use fewer jobs. What was done is kept: run the command again"
            ) from None
        if isinstance(message, ModelsError):
            raise message
        return message


def _serve(connection: Connection, work: Work) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first process to tell
    torch.set_num_threads(1)
    steps = _now_and_then(lambda _, done, total: connection.send((done, total)))
    with threadpool_limits(1), contextlib.suppress(EOFError, ConnectionError):
        while True:  # until the first process is gone
            cell = connection.recv()
            try:
                connection.send(work.do(cell, steps))
            except ModelsError as error:
                connection.send(error)


def _now_and_then(steps: Steps) -> Steps:
    last = 0.0

    def told(cell: Cell, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= TOLD_EVERY_S:
            last = time.monotonic()
            steps(cell, done, total)

    return told
