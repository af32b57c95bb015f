"""One process on one core, watched from outside: how fast its committed offsets go on."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, KafkaException, TopicPartition

LOOK_EVERY_S = 0.02
STANDSTILL_S = 120.0  # the slowest start of a peer takes a tenth of that
_TICKS = os.sysconf("SC_CLK_TCK")
# Sets the cores before the program starts: a Java runtime counts them once, at its start.
_PINNED = (
    "import os,sys; os.sched_setaffinity(0,{int(sys.argv[1])}); os.execvp(sys.argv[2],sys.argv[2:])"
)


@dataclass(frozen=True)
class Run:
    """What one run of one peer came to.

    Attributes:
        events: that it read.
        per_s: events a second, from its first commit to its last.
        per_s_second_half: the same of the second half of the log, when it is warm.
        per_cpu_s: events per second of processor time, of all its threads and children.
        broker_us: microseconds of processor time of the broker for an event.
        peak_bytes: most memory it had resident.
    """

    events: int
    per_s: float
    per_s_second_half: float
    per_cpu_s: float
    broker_us: float
    peak_bytes: int


def keep_to_the_other_core() -> int:
    """Move this process, and all it starts, off the core of the peers; return that core.

    With a single core there is no other one, and they share it.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[1:]))
    return cores[0]


def start_on(
    core: int, command: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a command whose threads all run on one core; its output goes to our stderr."""
    pinned = [sys.executable, "-I", "-S", "-c", _PINNED, str(core), *command]
    return start(pinned, environment=environment or {})


def start(command: Sequence[str], *, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start a command on the cores of this process; its output goes to our stderr."""
    return subprocess.Popen(command, env={**os.environ, **environment}, stdout=sys.stderr.fileno())


def broker_processes() -> list[psutil.Process]:
    """Return the children of this process; to be called while the broker is the only one."""
    children: list[psutil.Process] = psutil.Process().children(recursive=True)
    return children


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had resident."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no memory any more")


def follow(
    process: "subprocess.Popen[bytes]",
    *,
    servers: str,
    group: str,
    topic: str,
    events: int,
    then_drained: Sequence[str] = (),
    broker: Sequence[psutil.Process] = (),
    warm_up: int = 0,
    seen: Callable[[int], None] = lambda _done: None,
) -> Run:
    """Watch a process until its group has committed `events` records of partition 0 of a topic.

    Args:
        process: the peer; it goes on.
        servers: bootstrap servers.
        group: the consumer group it commits for.
        topic: what it reads.
        events: where the measured stretch ends.
        then_drained: topics of its own that have to be read to their end, too.
        broker: whose processor time is counted beside it.
        warm_up: how many records are committed before the measured stretch begins.
        seen: told at every look how many records are committed.

    Raises:
        SystemExit: it ended, or stood still for STANDSTILL_S.
    """
    observer = Consumer({"bootstrap.servers": servers, "group.id": group})
    samples: list[tuple[float, int]] = []
    cpu_before = broker_before = 0.0
    moved = time.monotonic()
    try:
        while True:
            if process.poll() is not None:
                raise SystemExit(f"{group} ended with {process.returncode}")
            done = committed(observer, topic)
            now = time.perf_counter()
            seen(done)
            if done > warm_up and not samples:
                cpu_before, broker_before = _cpu_with_children(process.pid), _cpu_of(broker)
            if done > warm_up and (not samples or done > samples[-1][1]):
                samples.append((now, done))
                moved = time.monotonic()
            if done >= events and all(_drained(observer, each) for each in then_drained):
                break
            if time.monotonic() - moved > STANDSTILL_S:
                raise SystemExit(f"{group} stands still at {done:,} of {events:,} events")
            time.sleep(LOOK_EVERY_S)
    finally:
        with suppress(RuntimeError):
            observer.close()
    ended = time.perf_counter() if then_drained else samples[-1][0]
    began, first = samples[0]
    if first >= events:
        raise SystemExit(f"{group} committed all {events:,} at once; give more events")
    half_at, half = next(each for each in samples if each[1] >= events / 2)
    counted = events - first
    rate = counted / (ended - began)
    return Run(
        events=events,
        per_s=rate,
        # Where one commit covers the whole second half there is nothing to tell apart.
        per_s_second_half=(events - half) / (ended - half_at) if half < events else rate,
        per_cpu_s=counted / max(_cpu_with_children(process.pid) - cpu_before, 1 / _TICKS),
        broker_us=(_cpu_of(broker) - broker_before) / counted * 1e6,
        peak_bytes=peak_bytes(process.pid),
    )


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process in order, or by force if that takes longer than a minute."""
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def committed(observer: Consumer, topic: str) -> int:
    """Return the offset that the group has committed of partition 0; below 0 without any."""
    try:
        return int(observer.committed([TopicPartition(topic, 0)], timeout=10)[0].offset)
    except KafkaException:  # a young group's coordinator is still being found
        return -1


def _drained(observer: Consumer, topic: str) -> bool:
    _, end = observer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
    return committed(observer, topic) >= end - 1  # the marker of the last transaction may be left


def _cpu_with_children(pid: int) -> float:
    """Return the processor time of a process and its children, those that have ended too."""
    process = psutil.Process(pid)
    every = [process, *process.children(recursive=True)]
    ended = sum(times.children_user + times.children_system for times in map(_times, every))
    return _cpu_of(every) + float(ended)


def _cpu_of(processes: Sequence[psutil.Process]) -> float:
    return float(sum(times.user + times.system for times in map(_times, processes)))


def _times(process: psutil.Process) -> Any:
    return process.cpu_times()
