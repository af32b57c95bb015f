"""The stats worker as users run it, but for a trigger that ends it at a named step.

Started as `python -m tests.torture.armed_worker [STEP COUNT ACTION FRACTION]`. Lines on standard
input arm it later: `arm STEP COUNT ACTION FRACTION`, `disarm`, `release`. The trigger acts when
the step is reached for the COUNT-th time from then on:

- `kill`: SIGKILL to itself; at `in-write` the kernel ends it, from FRACTION of the time that the
  last WriteBatch took, in the midst of native code. FRACTION is nothing to the other steps.
- `stop`: SIGSTOP to itself.
- `hold`: the thread waits there for `release`, while the clients' own threads go on.

All of this is done from outside, to the classes as they are imported: the product has none of it.
When standard input ends, the process ends: nobody is left to run it. SIGUSR1 writes what every
thread is doing to standard error.
"""

import faulthandler
import functools
import os
import signal
import sys
import threading
import time
from typing import Any

from confluent_kafka import Producer

import workers.runtime.transaction as transaction_module
from stats_store.backend.rocksdb import RocksDBBackend
from stats_store.store import PartitionStore
from tests.torture.steps import STEPS
from workers.cli.main import run
from workers.stats.processor import StatsProcessor
from workers.stats.restore import Restorer

HELD = "torture: held at"
LAST_WRITE_S = 300e-6  # until one was measured


class Trigger:
    """Acts once when a step is reached for the n-th time. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._step = ""
        self._left = 0
        self._action = "kill"
        self._fraction = 0.0

    def arm(self, step: str, count: str, action: str, fraction: str) -> None:
        if step not in STEPS:
            raise ValueError(f"{step!r} is no step; they are {', '.join(STEPS)}")
        with self._lock:
            self._step, self._left = step, int(count)
            self._action, self._fraction = action, float(fraction)
            self._released.clear()

    def disarm(self) -> None:
        with self._lock:
            self._step = ""

    def release(self) -> None:
        self._released.set()

    def reached(self, step: str, *, lasts: float = 0.0) -> None:
        """Count the step, and act if it was the one; `lasts`: seconds that it is going to take."""
        with self._lock:
            if step != self._step:
                return
            self._left -= 1
            if self._left:
                return
            self._step = ""
        if self._action == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif self._action == "hold":
            print(HELD, step, file=sys.stderr, flush=True)  # noqa: T201 - the harness waits for it
            self._released.wait()
        elif lasts:
            # SIGALRM is nobody's here, so its default action ends the process wherever it is.
            signal.setitimer(signal.ITIMER_REAL, max(1e-6, lasts * self._fraction))
        else:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    trigger = Trigger()
    if len(sys.argv) > 1:
        trigger.arm(*sys.argv[1:])
    _patch(trigger)
    faulthandler.register(signal.SIGUSR1)
    threading.Thread(target=_listen, args=(trigger,), daemon=True).start()
    return run(["stats"])


def _listen(trigger: Trigger) -> None:
    for line in sys.stdin:
        name, *arguments = line.split()
        getattr(trigger, name)(*arguments)
    os._exit(1)


def _patch(trigger: Trigger) -> None:
    _around(trigger, transaction_module.TransactionalProducer, "commit", "before-transaction", "")
    _around(trigger, PartitionStore, "commit", "before-write", "after-write")
    _around(trigger, PartitionStore, "restore_batch", "in-restore", "")
    _around(trigger, Restorer, "__call__", "", "after-restore")
    _around(trigger, StatsProcessor, "assigned", "in-assign", "")
    _around(trigger, StatsProcessor, "revoked", "in-revoke", "")

    class ArmedProducer(Producer):
        def commit_transaction(self, *args: Any) -> None:
            trigger.reached("in-transaction")
            super().commit_transaction(*args)
            trigger.reached("after-transaction")

    vars(transaction_module)["Producer"] = ArmedProducer

    write, lasted = RocksDBBackend.write, LAST_WRITE_S

    @functools.wraps(write)
    def timed(*args: Any, **kwargs: Any) -> None:
        nonlocal lasted
        started = time.perf_counter()
        trigger.reached("in-write", lasts=lasted)
        write(*args, **kwargs)
        lasted = time.perf_counter() - started

    RocksDBBackend.write = timed  # type: ignore[method-assign]


def _around(trigger: Trigger, owner: Any, name: str, before: str, after: str) -> None:
    """Pass a step before a method and one after it; "" for none."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def passed(*args: Any, **kwargs: Any) -> Any:
        trigger.reached(before or "none")
        result = original(*args, **kwargs)
        trigger.reached(after or "none")
        return result

    setattr(owner, name, passed)


if __name__ == "__main__":
    sys.exit(main())
