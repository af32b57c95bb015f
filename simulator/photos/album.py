"""Takes the photos of many listings, on as many processes as asked for."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.errors import SimulatorError
from simulator.photos.camera import PhotoFault
from simulator.photos.studio import photograph
from simulator.things import Thing

_BATCH = 16  # listings a task; a second or so of work


@dataclass(frozen=True, slots=True)
class Sitting:
    """The photos of one listing: a file and a fault, or none, for each.

    `look` and `shot` are seeds; the photo's number is added to `shot`. So a photo is the same
    whichever process takes it.
    """

    thing: Thing
    files: tuple[Path, ...]
    faults: tuple[PhotoFault | None, ...]
    backgrounds: tuple[str, ...]
    look: tuple[int, ...]
    shot: tuple[int, ...]


def take_photos(
    sittings: Sequence[Sitting], *, processes: int, on_progress: Callable[[int], None]
) -> None:
    """Write every photo; `on_progress` gets the number of listings done since the last call.

    Raises:
        SimulatorError: a process ended before its work was done.
    """
    batches = [sittings[at : at + _BATCH] for at in range(0, len(sittings), _BATCH)]
    if processes == 1 or len(batches) == 1:
        for batch in batches:
            on_progress(_take(batch))
        return
    pool = ProcessPoolExecutor(
        min(processes, len(batches)),
        mp_context=multiprocessing.get_context("spawn"),  # a fork would copy a caller's threads
        initializer=_end_with_the_parent,
    )
    try:
        for task in as_completed([pool.submit(_take, batch) for batch in batches]):
            on_progress(task.result())
    except BrokenProcessPool:
        raise SimulatorError(
            "a process that draws photos ended too early (no memory left, or killed); "
            "one process draws within the caller: workers=1"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _take(batch: Sequence[Sitting]) -> int:
    for sitting in batch:
        for number, (file, fault) in enumerate(zip(sitting.files, sitting.faults, strict=True)):
            photo = photograph(
                sitting.thing,
                fault,
                np.random.default_rng(sitting.look),
                np.random.default_rng((*sitting.shot, number)),
                sitting.backgrounds,
            )
            file.write_bytes(photo)
    return len(batch)


def _end_with_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)  # a parent that was killed cannot tell its pool to end

    threading.Thread(target=wait, daemon=True).start()
