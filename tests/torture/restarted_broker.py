"""A real broker that goes away, in order or by SIGKILL, and comes back where it was."""

from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from workers.local.broker import LocalBroker


def _quiet(_sentence: str) -> None:
    """The harness has a display of its own."""


class RestartedBroker:
    """`LocalBroker` with its data in `folder`, between with and end.

    Args:
        folder: of its data.
        kill: whether it goes by SIGKILL; see decision 52 for what may then hang.
    """

    def __init__(self, folder: Path, *, kill: bool) -> None:
        self._folder = folder
        self._kill = kill
        self._broker = LocalBroker(data_dir=folder, say=_quiet)
        self.servers = ""

    def __enter__(self) -> Self:
        self._broker.start()
        self.servers = self._broker.bootstrap_servers
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._broker.stop()

    def restart(self) -> None:
        """Let it go, and start it anew on the same folder and port."""
        if self._kill:
            self._kill_java()
        self._broker.stop()  # of one that is dead, its keeper and the folder's lock
        port = int(self.servers.rpartition(":")[2])
        self._broker = LocalBroker(data_dir=self._folder, port=port, say=_quiet)
        self._broker.start()

    def _kill_java(self) -> None:
        """Kill the process that holds the data, not its keeper."""
        (java,) = (
            process
            for process in psutil.Process().children(recursive=True)
            if "kafka.Kafka" in process.cmdline() and "java" in Path(process.exe()).name
        )
        java.kill()
        java.wait()
