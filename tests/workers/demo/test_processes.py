from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from workers.demo.processes import WorkerProcess
from workers.errors import WorkersError
from workers.topics import create_topics

DEADLINE_S = 60.0

PARENT = """
import signal, sys
from pathlib import Path
from workers.demo.processes import WorkerProcess

log = Path(sys.argv[1])
with WorkerProcess("stats", settings={}, log=log) as worker:
    worker.wait_ready()
    print("ready", flush=True)
    signal.pause()
"""


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> dict[str, str]:
    create_topics(
        {"bootstrap.servers": kafka}, prefix=topic_prefix, partitions=1, replication_factor=1
    )
    return {
        "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "SECONDSIGHT_TOPIC_PREFIX": topic_prefix,
        "SECONDSIGHT_DATA_DIR": str(tmp_path / "state"),
    }


def test_a_worker_becomes_ready_and_leaves_in_order(
    settings: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "stats.jsonl"

    with WorkerProcess("stats", settings=settings, log=log) as worker:
        worker.wait_ready()
        worker.stop()

        with pytest.raises(WorkersError, match="has ended with status 0"):
            worker.check()
    assert '"worker left"' in log.read_text(encoding="utf-8")


def test_a_worker_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    settings = {"SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": ""}

    with (
        WorkerProcess("stats", settings=settings, log=tmp_path / "log") as worker,
        pytest.raises(WorkersError, match=r"status 3.*(?s:.)*KAFKA_BOOTSTRAP_SERVERS is not set"),
    ):
        worker.wait_ready()


def test_it_ends_with_the_block(settings: dict[str, str], tmp_path: Path) -> None:
    with WorkerProcess("stats", settings=settings, log=tmp_path / "log") as worker:
        worker.wait_ready()
        family = psutil.Process().children(recursive=True)
        ours = [process for process in family if "workers.cli.main" in process.cmdline()]
        assert ours

    assert not psutil.wait_procs(ours, timeout=DEADLINE_S)[1]


def test_it_ends_when_its_parent_is_killed(settings: dict[str, str], tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == "ready\n"
            family = psutil.Process(parent.pid).children(recursive=True)
            assert [process for process in family if "stats" in process.cmdline()]
        finally:
            parent.send_signal(signal.SIGKILL)
    assert not psutil.wait_procs(family, timeout=DEADLINE_S)[1]
