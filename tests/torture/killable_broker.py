"""A real broker that is killed with SIGKILL and comes back on the same folder and port."""

from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from workers.local.broker import LocalBroker


def _quiet(_sentence: str) -> None:
    """The harness has a display of its own."""


class KillableBroker:
    """`LocalBroker` with its data in `folder`, between with and end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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

    def kill_and_restart(self) -> None:
        """Kill the process that holds the data, not its keeper, and start it anew."""
        (java,) = (
            process
            for process in psutil.Process().children(recursive=True)
            if "kafka.Kafka" in process.cmdline() and "java" in Path(process.exe()).name
        )
        java.kill()
        java.wait()
        self._broker.stop()  # its keeper and the folder's lock
        port = int(self.servers.rpartition(":")[2])
        self._broker = LocalBroker(data_dir=self._folder, port=port, say=_quiet)
        self._broker.start()
