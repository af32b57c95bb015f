"""The one-machine Kafka as a child process: its data, its end, and what keeps it from starting."""

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from workers.errors import ConfigurationError, WorkersError
from workers.local.broker import LocalBroker, kafka_for
from workers.local.ports import choose_ports
from workers.runtime.settings import Settings

DEADLINE_S = 60
CLEAN = "kafka-logs/.kafka_cleanshutdown"  # Kafka writes it at the end of an orderly stop


def write(servers: str, topic: str, value: bytes) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(DEADLINE_S)
    producer = Producer({"bootstrap.servers": servers})
    producer.produce(topic, value)
    assert producer.flush(DEADLINE_S) == 0


def read_first(servers: str, topic: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": uuid.uuid4().hex})
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(DEADLINE_S)
    assert message is not None
    assert message.error() is None
    consumer.close()
    return message.value()


def children(parent: int) -> list[psutil.Process]:
    """The keeper and the Java process, which the parent's end must take along."""
    found = psutil.Process(parent).children(recursive=True)
    assert any("kafka.Kafka" in process.cmdline() for process in found)
    return list(found)


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=DEADLINE_S)
    assert alive == []


@pytest.fixture
def started() -> Iterator[list["subprocess.Popen[str]"]]:
    """Commands that a test started; what is left of them is ended after the test."""
    commands: list[subprocess.Popen[str]] = []
    yield commands
    for command in commands:
        command.kill()
        command.communicate()


def start(started: list["subprocess.Popen[str]"], *arguments: str) -> "subprocess.Popen[str]":
    command = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    started.append(command)
    return command


def first_line(command: "subprocess.Popen[str]") -> str:
    assert command.stdout is not None
    return command.stdout.readline().strip()


# A second process shares every open file with the parent, and lives on: as with multiprocessing.
PARENT = """
import os, signal, sys
from workers.local.broker import LocalBroker
with LocalBroker():
    if (sibling := os.fork()) == 0:
        signal.pause()
    print(sibling, flush=True)
    signal.pause()
"""


def test_it_ends_when_its_parent_is_killed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    started: list["subprocess.Popen[str]"],
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    parent = start(started, "-c", PARENT)
    sibling = psutil.Process(int(first_line(parent)))
    processes = [process for process in children(parent.pid) if process != sibling]
    assert len(processes) == 2
    try:
        os.kill(parent.pid, signal.SIGKILL)
        assert_gone(processes)
        assert sibling.is_running()
    finally:
        sibling.kill()
    assert list(tmp_path.iterdir()) == []


def test_folder_and_port_are_its_own_until_it_ends(tmp_path: Path) -> None:
    with LocalBroker(data_dir=tmp_path) as broker:
        with pytest.raises(ConfigurationError, match="Another Kafka runs with its data in"):
            LocalBroker(data_dir=tmp_path).start()
        port = int(broker.bootstrap_servers.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match=rf"port {port} .* name another one with --po"):
            LocalBroker(port=port).start()
        write(broker.bootstrap_servers, "unharmed", b"1")

        ours = [process for process in children(os.getpid()) if process.cwd() == str(tmp_path)]
        keeper = next(process for process in ours if process.ppid() == os.getpid())
        keeper.kill()
        with pytest.raises(WorkersError, match="ended unexpectedly"):
            broker.wait()
        assert_gone(ours)


def test_the_command_prints_its_address_stops_in_order_and_reopens_its_folder(
    tmp_path: Path, started: list["subprocess.Popen[str]"]
) -> None:
    folder = tmp_path / "odd, name: with $ and %"
    command = ["-m", "workers.cli.main", "broker", "--data-dir", str(folder)]

    first = start(started, *command)
    address = first_line(first)
    write(address, "kept", b"still here")
    processes = children(first.pid)
    os.killpg(first.pid, signal.SIGINT)  # a terminal signals the whole foreground group
    assert first.wait(DEADLINE_S) == 0
    assert_gone(processes)
    assert (folder / CLEAN).exists()

    second = start(started, *command, "--port", address.rpartition(":")[2])
    assert first_line(second) == address
    assert not (folder / CLEAN).exists()
    assert read_first(address, "kept") == b"still here"
    processes = children(second.pid)
    second.send_signal(signal.SIGTERM)
    assert second.wait(DEADLINE_S) == 0
    assert_gone(processes)
    assert (folder / CLEAN).exists()


def test_the_command_ends_with_3_where_a_retry_does_not_help(
    started: list["subprocess.Popen[str]"],
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = start(started, "-m", "workers.cli.main", "broker", "--port", port)
        assert command.wait(DEADLINE_S) == 3


def test_a_port_taken_meanwhile_is_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        choices = iter([(choose_ports(None)[0], taken.getsockname()[1]), choose_ports(None)])
        monkeypatch.setattr("workers.local.broker.choose_ports", lambda _: next(choices))
        with LocalBroker(data_dir=tmp_path) as broker:
            write(broker.bootstrap_servers, "works", b"1")
    assert next(choices, None) is None


@pytest.mark.parametrize("below", ["a file", "/proc"])
def test_a_folder_that_cannot_be_written(below: str, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="--data-dir"):
        LocalBroker(data_dir=tmp_path / below / "kafka").start()


def test_too_little_space_is_said_before_kafka_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.local.folder.MIN_FREE_BYTES", 1 << 62)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"MiB are free .* Free some space"):
        LocalBroker().start()
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_fails_shows_the_last_lines_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "kafka-logs").mkdir()
    (tmp_path / "kafka-logs" / "meta.properties").write_text("version=none of ours\n")
    with pytest.raises(WorkersError, match="ended while it was starting") as caught:
        LocalBroker(data_dir=tmp_path).start()
    assert "The last lines of its log: " in str(caught.value)
    assert "none of ours" in str(caught.value)


def test_a_configured_kafka_wins(tmp_path: Path) -> None:
    settings = Settings(kafka_bootstrap_servers="kafka.example.org:9092")
    with kafka_for(settings, data_dir=tmp_path / "unused") as servers:
        assert servers == "kafka.example.org:9092"
    assert not (tmp_path / "unused").exists()


def test_without_a_configured_kafka_one_is_started_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with kafka_for(Settings(kafka_bootstrap_servers=None)) as servers:
        write(servers, "works", b"1")
        ours = [process for process in children(os.getpid()) if str(tmp_path) in process.cwd()]
        assert len(ours) == 2
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
    assert_gone(ours)
