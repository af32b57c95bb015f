"""A real Apache Kafka as a child process, for a machine on which none is configured."""

import base64
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from workers.errors import WorkersError
from workers.local.folder import BrokerFolder
from workers.local.jars import cache_folder, kafka_jars
from workers.local.java import java_command
from workers.local.ports import LOOPBACK, choose_ports
from workers.local.properties import server_properties
from workers.runtime.settings import Settings

START_TIMEOUT_S = 60.0  # it takes 3 s; a machine under heavy load may need far more
STOP_TIMEOUT_S = 30.0  # more than the keeper grants the broker before it kills it
PORT_ATTEMPTS = 3

LOG_DIR = "kafka-logs"  # relative to the folder, whose name may hold what Kafka cannot take
PROPERTIES = "server.properties"
KEEPER = Path(__file__).with_name("keeper.py")


def _to_stderr(sentence: str) -> None:
    print(sentence, file=sys.stderr)  # noqa: T201 - progress, for whoever waits


@contextmanager
def kafka_for(
    settings: Settings,
    *,
    data_dir: Path | None = None,
    say: Callable[[str], None] = _to_stderr,
) -> Iterator[str]:
    """Yield bootstrap servers: the configured ones, else those of a broker started for the block.

    Args:
        settings: of which `kafka_bootstrap_servers` counts.
        data_dir: where a started broker keeps its data; None: in a folder removed at the end.
        say: told, in sentences, what takes time.

    Raises:
        WorkersError: as `LocalBroker.start`.
    """
    if settings.kafka_bootstrap_servers is not None:
        yield settings.kafka_bootstrap_servers
        return
    with LocalBroker(data_dir=data_dir, say=say) as broker:
        yield broker.bootstrap_servers


class LocalBroker:
    """One node of Apache Kafka on loopback, started on entry and stopped on exit.

    It ends with this process, also when this process is killed. It runs in a session of its own:
    Ctrl-C in the terminal reaches this process alone, which then stops it in order. Not safe to
    share between threads.
    """

    def __init__(
        self,
        *,
        data_dir: Path | None = None,
        port: int | None = None,
        jar_folder: Path | None = None,
        say: Callable[[str], None] = _to_stderr,
    ) -> None:
        """Prepare a broker; nothing is started yet.

        Args:
            data_dir: kept, and reopened by a later broker; None: temporary, removed at the end.
            port: of the listener for clients; None: any free one.
            jar_folder: where the jars of Kafka lie; None: in the user's cache.
            say: told, in sentences, what takes time.
        """
        self._named = data_dir
        self._port = port
        self._jar_folder = jar_folder or cache_folder()
        self._say = say
        self._cleanup = ExitStack()
        self._keeper: subprocess.Popen[bytes] | None = None
        self.bootstrap_servers = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker and return when clients can create topics.

        Raises:
            ConfigurationError: a retry will not help: the port or the folder is in use, the
                folder cannot be written, no space, a damaged jar, the extra `local` is missing.
            WorkersError: the jars could not be fetched, or the broker ended while starting.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def wait(self) -> None:
        """Block until the broker ends by itself.

        Raises:
            WorkersError: always, for it has no reason to end; with the last lines of its log.
        """
        if self._keeper is None:
            raise RuntimeError("the broker has not been started")
        self._keeper.wait()
        raise WorkersError(f"Kafka has ended unexpectedly. {self._folder.last_words()}")

    def stop(self) -> None:
        """Stop the broker in order; without effect where it does not run."""
        if self._keeper is not None:
            self._end_keeper(self._keeper)
            self._keeper = None
        self._cleanup.close()

    def _start(self) -> None:
        java = java_command()
        jars = kafka_jars(self._jar_folder, self._say)
        java += ["-cp", os.pathsep.join(map(str, jars))]
        folder = BrokerFolder(self._named)
        self._cleanup.callback(folder.release)
        self._folder = folder
        java += folder.logging_options()
        for attempt in range(1, PORT_ATTEMPTS + 1):
            port, controller_port = choose_ports(self._port)
            if not (folder.path / LOG_DIR).exists():
                self._format(java, port, controller_port)
            self._write_properties(LOG_DIR, port, controller_port)
            self._keeper = self._run(java)
            try:
                self._await_ready(self._keeper, port)
            except _PortTakenError:
                # Between our choice of a free port and Kafka's use of it somebody took it.
                self._end_keeper(self._keeper)
                if attempt == PORT_ATTEMPTS:
                    raise
            else:
                self.bootstrap_servers = f"{LOOPBACK}:{port}"
                return

    def _write_properties(self, log_dir: str, port: int, controller_port: int) -> None:
        text = server_properties(log_dir=log_dir, port=port, controller_port=controller_port)
        (self._folder.path / PROPERTIES).write_text(text, encoding="utf-8")

    def _format(self, java: list[str], port: int, controller_port: int) -> None:
        # Formatted aside and then renamed: whoever is killed meanwhile leaves no half folder.
        aside = self._folder.path / f"{LOG_DIR}.new"
        shutil.rmtree(aside, ignore_errors=True)
        self._write_properties(aside.name, port, controller_port)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [*java, "kafka.tools.StorageTool", "format", "--config", PROPERTIES]
        command += ["--standalone", f"--cluster-id={cluster}"]  # it may begin with a hyphen
        with self._folder.console() as console:
            done = subprocess.run(
                command, stdout=console, stderr=console, cwd=self._folder.path, check=False
            )
        if done.returncode != 0:
            words = self._folder.last_words()
            raise WorkersError(f"The folder for Kafka could not be made. {words}")
        aside.rename(self._folder.path / LOG_DIR)

    def _run(self, java: list[str]) -> "subprocess.Popen[bytes]":
        path = self._folder.path
        removed_at_end = str(path) if self._folder.temporary else ""
        keeper = [sys.executable, "-I", "-S", str(KEEPER), str(os.getpid()), removed_at_end]
        with self._folder.console() as console:
            return subprocess.Popen(
                [*keeper, *java, "kafka.Kafka", PROPERTIES],
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=console,
                cwd=path,  # names in the configuration are relative to it
                start_new_session=True,
                pass_fds=[self._folder.lock],  # locked until the broker has ended, not only we
            )

    def _await_ready(self, keeper: "subprocess.Popen[bytes]", port: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        admin = AdminClient(
            {
                "bootstrap.servers": f"{LOOPBACK}:{port}",
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 100,
                "log_level": 0,  # it would tell of every refused connection until Kafka is up
            }
        )
        while keeper.poll() is None:
            try:
                # A broker that lists itself is past its fence: partitions may be put on it.
                if admin.list_topics(timeout=0.5).brokers:
                    return
            except KafkaException:
                pass
            if time.monotonic() > deadline:
                words = self._folder.last_words()
                raise WorkersError(f"Kafka did not start within {START_TIMEOUT_S:.0f} s. {words}")
        words = self._folder.last_words()
        if "Address already in use" in words:
            raise _PortTakenError(f"Kafka found its port in use. {words}")
        raise WorkersError(f"Kafka ended while it was starting. {words}")

    def _end_keeper(self, keeper: "subprocess.Popen[bytes]") -> None:
        try:
            # Closes its input, which the keeper takes as the word to stop the broker.
            keeper.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            keeper.kill()  # the kernel then kills the broker
            keeper.wait()


class _PortTakenError(WorkersError):
    """A port that was free a moment ago is in use."""
