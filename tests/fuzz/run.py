"""One run: chunks of inputs in child processes, so that a native crash costs one input."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from tests.fuzz.child import Begun, Ended, run_inputs
from tests.fuzz.inputs import Input, kind_of
from tests.fuzz.target import try_input

CHUNK = 500  # inputs of one child: its start, half a second, is little beside them
HANG_S = 20.0  # the slowest photo within the limits takes 4 s alone on a core
MEMORY_MB = 1_024.0
"""The bound: a child at rest has 100 MB; a PNG of 51 million pixels with alpha takes 700 more."""


@dataclass
class Result:
    """What came of the inputs run so far."""

    inputs: int = 0
    peak_mb: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    crashes: dict[int, str] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """Return it in JSON's types: of each kind how many were run, and read."""
        return {
            "inputs": self.inputs,
            "crashes": len(self.crashes),
            "peak_mb": round(self.peak_mb, 1),
            "kinds": {kind: [self.kinds[kind], self.read[kind]] for kind in sorted(self.kinds)},
        }


def run(
    *,
    seed: int,
    numbers: range,
    tell: Callable[[Result], None] = lambda _: None,
    target: Callable[[Input], bool] = try_input,
    processes: int = 1,
    hang_s: float = HANG_S,
    limit_mb: float = MEMORY_MB,
) -> Result:
    """Run the inputs of some numbers and return what came of them.

    Args:
        seed: of all mutations.
        numbers: which inputs.
        tell: told of the result after each input, by one thread at a time.
        target: what each input goes through; importable, as children import it.
        processes: children at once.
        hang_s: seconds without an end after which an input counts as a crash.
        limit_mb: resident memory of a child above which its input counts as a crash.
    """
    result, lock = Result(), Lock()

    def ended(number: int, outcome: Ended) -> None:
        kind = kind_of(number)
        with lock:
            result.inputs += 1
            result.kinds[kind] += 1
            result.read[kind] += outcome.read
            result.peak_mb = max(result.peak_mb, outcome.peak_mb)
            if outcome.crash is not None:
                result.crashes[number] = outcome.crash
            tell(result)

    def work(chunk: range) -> None:
        left = chunk
        while left:
            done = _child(seed, left, target, hang_s, limit_mb, ended)
            left = left[done:]

    chunks = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(work, chunks))
    return result


def _child(
    seed: int,
    numbers: range,
    target: Callable[[Input], bool],
    hang_s: float,
    limit_mb: float,
    ended: Callable[[int, Ended], None],
) -> int:
    """Run inputs in a child until it ends for whatever reason; return how many of them ran."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(
        target=run_inputs, args=(theirs, seed, numbers, target, limit_mb), daemon=True
    )
    began = time.monotonic()
    child.start()
    theirs.close()
    done, running = 0, None
    try:
        while True:
            # The first message waits for the child's imports.
            patience = hang_s if running is not None else hang_s + 60
            if not ours.poll(patience):
                crash = f"no end within {hang_s} s"
                break
            message = ours.recv()
            if isinstance(message, Begun):
                running = message.number
                continue
            assert running is not None
            ended(running, message)
            running = None
            done += 1
    except EOFError:
        child.join()
        crash = f"the process ended with exit code {child.exitcode}"
    finally:
        child.kill()
        child.join()
        ours.close()
    if running is not None:
        ended(running, Ended(read=False, peak_mb=0.0, crash=crash))
        return done + 1
    if done == 0:
        raise RuntimeError(f"{crash}, {time.monotonic() - began:.0f} s after it was started")
    return done
