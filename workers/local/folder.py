"""The folder in which the one-machine Kafka keeps its data: checked, locked, named or temporary."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

from workers.errors import ConfigurationError
from workers.local.properties import LOG4J

LAST_LINES = 6
MIN_FREE_BYTES = 256 * 2**20  # enough for the logs of a demo; Kafka halts when a disk is full


class BrokerFolder:
    """A folder of one broker, locked until `release`.

    A named folder is made when it is missing and kept; a temporary one is removed at the release.

    Raises:
        ConfigurationError: the folder cannot be made or written, another broker uses it, or too
            little space is left.
    """

    def __init__(self, named: Path | None) -> None:
        self.temporary = named is None
        try:
            self.path = (named or Path(tempfile.mkdtemp(prefix="secondsight-kafka-"))).resolve()
            self.path.mkdir(parents=True, exist_ok=True)
            # Opened for writing: tells at once whether the folder can be written.
            self.lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigurationError(
                f"The data of Kafka cannot be written to {error.filename}: {error.strerror}. "
                "Name a folder that you may write to with --data-dir."
            ) from error
        try:
            self._check()
        except ConfigurationError:
            self.release()
            raise

    def _check(self) -> None:
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                f"Another Kafka runs with its data in {self.path}. Stop that one, use it by "
                "setting SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS, or name another --data-dir."
            ) from error
        free = shutil.disk_usage(self.path).free
        if free < MIN_FREE_BYTES:
            raise ConfigurationError(
                f"Only {free // 2**20} MiB are free on the disk of {self.path}; Kafka needs "
                f"{MIN_FREE_BYTES // 2**20}. Free some space or name another --data-dir."
            )

    def logging_options(self) -> list[str]:
        """Return the options of a JVM that runs in this folder and logs into it."""
        (self.path / "log4j2.properties").write_text(LOG4J, encoding="utf-8")
        return ["-Dlog4j2.configurationFile=log4j2.properties"]

    def console(self) -> IO[bytes]:
        """Open the file for what a process writes to its standard output and error."""
        return (self.path / "console.log").open("ab")

    def last_words(self) -> str:
        """Return the last lines of what the broker logged, without stack traces."""
        for log in (self.path / "server.log", self.path / "console.log"):
            if log.exists() and (lines := _telling_lines(log)):
                return f"The last lines of its log: {' | '.join(lines[-LAST_LINES:])}"
        return "It left no log."

    def release(self) -> None:
        """Unlock the folder, also for processes that inherited the lock; call it once."""
        fcntl.flock(self.lock, fcntl.LOCK_UN)
        os.close(self.lock)
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)  # the keeper may have been faster


def _telling_lines(log: Path) -> list[str]:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if line.strip() and not line.startswith(("\tat ", "WARNING: "))]
