"""The workers as the processes they are in production: settings in the environment, logs in a file.

Each runs under the keeper, as the broker does, and so ends with the demo however that ends.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.errors import WorkersError
from workers.local.broker import KEEPER

READY_TIMEOUT_S = 120.0  # it takes some seconds; importing on a loaded machine may need far more
STOP_TIMEOUT_S = 40.0
POLL_S = 0.1
SHOWN_LINES = 12


class WorkerProcess:
    """`secondsight NAME` as a child process, between `with` and its end."""

    def __init__(self, name: str, *, settings: Mapping[str, str], log: Path) -> None:
        """Prepare the worker.

        Args:
            name: the command, such as "stats".
            settings: environment variables, added to those of this process.
            log: file for its log, one JSON object a line.
        """
        self.name = name
        self._log = log
        self._environment = {
            **os.environ,
            "SECONDSIGHT_INSTANCE_ID": "",
            "SECONDSIGHT_HEALTH_HOST": "127.0.0.1",
            "SECONDSIGHT_HEALTH_PORT": "0",
            "SECONDSIGHT_LOG_FORMAT": "json",
            "SECONDSIGHT_LOG_LEVEL": "info",  # the health port is in the log
            **settings,
        }
        self._keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "workers.cli.main", self.name]
        keeper = [sys.executable, "-I", "-S", str(KEEPER), str(os.getpid()), ""]
        with self._log.open("wb") as log:
            self._keeper = subprocess.Popen(
                [*keeper, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which then ends it
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._keeper is None:
            return
        try:
            # Closes its input, which the keeper takes as the word to stop the worker.
            self._keeper.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._keeper.kill()  # the kernel then kills the worker
            self._keeper.wait()

    def wait_ready(self) -> None:
        """Return when the worker says that it is ready.

        Raises:
            WorkersError: it ended, or is not ready in time; with the last lines of its log.
        """
        deadline = time.monotonic() + READY_TIMEOUT_S
        port = None
        while True:
            self.check()
            port = port or self._health_port()
            if port is not None and _answers(f"http://127.0.0.1:{port}/readyz"):
                return
            if time.monotonic() > deadline:
                raise WorkersError(
                    f"The {self.name} worker was not ready after {READY_TIMEOUT_S:.0f} s. "
                    f"{self.last_words()}"
                )
            time.sleep(POLL_S)

    def check(self) -> None:
        """Say so if the worker has ended.

        Raises:
            WorkersError: it has; with the last lines of its log.
        """
        status = None if self._keeper is None else self._keeper.poll()
        if status is not None:
            raise WorkersError(
                f"The {self.name} worker has ended with status {status}. {self.last_words()}"
            )

    def stop(self) -> None:
        """Send SIGTERM and return when the worker has drained and left.

        Raises:
            WorkersError: it had ended before, or ends with an error, or not in time.
        """
        self.check()
        keeper = self._keeper
        if keeper is None:
            return
        keeper.send_signal(signal.SIGTERM)  # handed on to the worker
        try:
            status = keeper.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise WorkersError(
                f"The {self.name} worker did not stop within {STOP_TIMEOUT_S:.0f} s. "
                f"{self.last_words()}"
            ) from None
        if status != 0:
            raise WorkersError(
                f"The {self.name} worker left with status {status}. {self.last_words()}"
            )

    def last_words(self) -> str:
        """Return where its log is, and the last lines of it."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        shown = "".join(f"\n  {line[:500]}" for line in lines[-SHOWN_LINES:])
        return f"The end of {self._log}:{shown}"

    def _health_port(self) -> int | None:
        with self._log.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if '"health served"' in line and line.endswith("\n"):
                    return int(json.loads(line)["port"])
        return None


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - http, of ourselves
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
