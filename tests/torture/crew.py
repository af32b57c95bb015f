"""The worker processes: started, armed, signalled, and started again when they end."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from tests.torture.armed_worker import HELD

ROOT = Path(__file__).parents[2]
DEADLINE_S = 90.0
RETRY_WILL_NOT_HELP = 3
PACE = threading.Event()  # never set: what waits on it looks again a little later


class TortureError(Exception):
    """The run cannot go on as planned; what has been seen until then is the evidence."""


def until(condition: Callable[[], bool], what: str, *, deadline_s: float = DEADLINE_S) -> None:
    """Return when the condition holds.

    Raises:
        TortureError: it did not within the deadline.
    """
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            raise TortureError(f"{what}: not within {deadline_s:.0f} s")
        PACE.wait(0.05)


class WorkerProcess:
    """One `secondsight stats`, with a trigger from outside.

    Args:
        environment: its settings; no others of the environment reach it.
        log: where its standard error goes.
        armed: what the trigger is armed with from the start, as `arm` takes it.
        prefix: a command that starts it, such as `prlimit` with its options.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        *,
        armed: Sequence[object] = (),
        prefix: Sequence[str] = (),
    ) -> None:
        inherited = {n: v for n, v in os.environ.items() if not n.startswith("SECONDSIGHT_")}
        self.log = log
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "tests.torture.armed_worker", *map(str, armed)],
                env={**inherited, **environment},
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                text=True,
            )

    def arm(self, step: str, count: int, action: str = "kill", fraction: float = 0.0) -> None:
        """Act when the step is reached for the `count`-th time; see `armed_worker`."""
        self._tell(f"arm {step} {count} {action} {fraction}")

    def disarm(self) -> None:
        self._tell("disarm")

    def release(self) -> None:
        """Let a held thread go on."""
        self._tell("release")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(DEADLINE_S)

    def stop(self) -> int:
        """SIGTERM; returns the exit code, 0 also where it had not begun to listen for signals."""
        self._process.terminate()
        code = self._process.wait(DEADLINE_S)
        return 0 if code == -signal.SIGTERM else code

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def tell_stacks(self) -> None:
        """Have it write what every thread is doing into its log."""
        size = self.log.stat().st_size
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(signal.SIGUSR1)
        with suppress(TortureError):
            until(
                lambda: self.exit_code is not None or self.log.stat().st_size > size,
                "stacks",
                deadline_s=5.0,
            )

    def wait(self, deadline_s: float = DEADLINE_S) -> int:
        return self._process.wait(deadline_s)

    @property
    def exit_code(self) -> int | None:
        """Negative for the signal that ended it, None while it runs."""
        return self._process.poll()

    @property
    def killed(self) -> bool:
        """Whether it ended as planned: by SIGKILL, or by SIGALRM in a WriteBatch."""
        return self.exit_code in (-signal.SIGKILL, -signal.SIGALRM)

    @property
    def may_be_retried(self) -> bool:
        """Whether it ended with a reason that a start anew may get over, such as Kafka away."""
        told = self.last_words().startswith(("error: ", "cimpl.KafkaException: "))
        return told and self.exit_code != RETRY_WILL_NOT_HELP

    @property
    def frozen(self) -> bool:
        return bool(psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED)

    def logged(self) -> str:
        return self.log.read_text(errors="replace")

    def has_logged(self, event: str) -> bool:
        return f'"{event}"' in self.logged()

    @property
    def held(self) -> bool:
        return HELD in self.logged()

    def last_words(self) -> str:
        """Return the sentence that it ended with, or the end of its traceback."""
        lines = [line for line in self.logged().splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines or [""])[-1][:500]

    def _tell(self, line: str) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with suppress(BrokenPipeError):  # it has ended, which whoever waits for it sees
            pipe.write(line + "\n")
            pipe.flush()


class Crew:
    """Workers by name, each with a folder of its own, restarted as an orchestrator would.

    A worker whose name is in `instances` has it as its instance id; the others have none.

    Args:
        settings: the environment that all share.
        folder: below it lie the data folders and the logs.
        instances: the names that outlive restarts.
    """

    def __init__(
        self, settings: Mapping[str, str], folder: Path, *, instances: Sequence[str]
    ) -> None:
        self._settings = dict(settings)
        self.folder = folder
        self._instances = tuple(instances)
        self._numbers = itertools.count(1)
        self.running: dict[str, WorkerProcess] = {}
        self.ended: Counter[str] = Counter()  # by themselves, by their last words
        (folder / "logs").mkdir(parents=True, exist_ok=True)

    def data(self, name: str) -> Path:
        return self.folder / "data" / name

    def stores(self) -> list[Path]:
        """Return every RocksDB of every worker that there ever was."""
        return sorted(self.folder.glob("data/*/stats/[0-9]*"))

    def start(
        self,
        name: str,
        *,
        armed: Sequence[object] = (),
        instance: str | None = None,
        data: Path | None = None,
        prefix: Sequence[str] = (),
    ) -> WorkerProcess:
        """Start a worker.

        Args:
            name: under which it runs here.
            armed: see `WorkerProcess`.
            instance: the instance id of another.
            data: its folder where that is not one of its own.
            prefix: see `WorkerProcess`.
        """
        settings = {**self._settings, "SECONDSIGHT_DATA_DIR": str(data or self.data(name))}
        if (instance := instance or name) in self._instances:
            settings["SECONDSIGHT_INSTANCE_ID"] = instance
        log = self.folder / "logs" / f"{name}-{next(self._numbers):04}.jsonl"
        self.running[name] = WorkerProcess(settings, log, armed=armed, prefix=prefix)
        return self.running[name]

    def forget(self, name: str) -> None:
        """Do not start it again."""
        del self.running[name]

    def tend(self, *but: str) -> None:
        """Start again whoever has ended by itself, but those that are meant to.

        Raises:
            TortureError: one says that a retry will not help, or ends with a traceback of
                something else than that Kafka is away.
        """
        for name, worker in list(self.running.items()):
            if worker.exit_code is None or name in but:
                continue
            words = worker.last_words()
            self.ended[words] += 1
            if not worker.may_be_retried:
                raise TortureError(
                    f"worker {name} ended with {worker.exit_code}, see {worker.log}: {words}"
                )
            self.start(name)

    def until(
        self, condition: Callable[[], bool], what: str, *but: str, deadline_s: float = DEADLINE_S
    ) -> None:
        """As the function, with the crew tended meanwhile."""

        def tended() -> bool:
            self.tend(*but)
            return condition()

        until(tended, what, deadline_s=deadline_s)

    def stop(self) -> None:
        """Stop all in order, one after the other.

        Raises:
            TortureError: one did not leave with 0.
        """
        for name, worker in list(self.running.items()):
            if (code := worker.stop()) != 0:
                raise TortureError(f"worker {name} left with {code}: {worker.last_words()}")
            self.forget(name)

    def end(self) -> None:
        """Kill whoever is left; the log of each says what its threads were doing."""
        for worker in self.running.values():
            worker.tell_stacks()
            worker.kill()
        self.running.clear()

    def warnings(self) -> Counter[str]:
        """Count what the workers' logs say of failed transactions and restarts, by event."""
        found: Counter[str] = Counter()
        for log in (self.folder / "logs").glob("*.jsonl"):
            for line in log.read_text(errors="replace").splitlines():
                if line.startswith("{") and '"warning"' in line:
                    found[str(json.loads(line).get("event"))[:60]] += 1
        return found
