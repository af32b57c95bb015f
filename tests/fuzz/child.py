"""The process in which inputs run: it says which one it begins, and what came of it."""

import resource
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.fuzz.inputs import Input, make_input

ADDRESS_SPACE = 4 << 30
"""Bytes that a child may map: above what any input may use, below what would hurt the machine."""


@dataclass(frozen=True)
class Begun:
    """An input is about to run."""

    number: int


@dataclass(frozen=True)
class Ended:
    """An input ran; `crash` tells of what may not be, `peak_mb` is that of the child so far."""

    read: bool
    peak_mb: float
    crash: str | None = None


def run_inputs(
    report: Connection,
    seed: int,
    numbers: range,
    target: Callable[[Input], bool],
    limit_mb: float,
) -> None:
    """Run inputs one after the other, reporting each; ends early once `limit_mb` was passed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its children
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in numbers:
        report.send(Begun(number))
        ended = _run(make_input(seed, number), target, limit_mb)
        report.send(ended)
        if ended.peak_mb > limit_mb:  # the peak stays, so that the next one needs a new process
            break


def _run(given: Input, target: Callable[[Input], bool], limit_mb: float) -> Ended:
    read, crash = False, None
    try:
        read = target(given)
    except BaseException:  # noqa: BLE001 - that anything else comes is what is looked for
        crash = traceback.format_exc()
    peak_mb = _peak_mb()
    if peak_mb > limit_mb:
        told = f"memory rose to {peak_mb:.0f} MB, over the bound of {limit_mb:.0f} MB\n"
        crash = told + (crash or "")
    return Ended(read, peak_mb, crash)


def _peak_mb() -> float:
    # Not ru_maxrss: that of a child begins with the peak of the process which started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024
