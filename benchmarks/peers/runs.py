"""Each of the peers over the same sales: started, watched to the end, and recounted."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.peers.checking import (
    check,
    check_dead_letters,
    read_faust,
    read_java,
    read_ours,
    read_quix,
)
from benchmarks.peers.java import java_command
from benchmarks.peers.measure import Run, follow, start_on, stop
from benchmarks.peers.python import HERE, peer_python
from benchmarks.peers.sales import Counted, Sales
from schemas.dead_letter import dead_letter_topic
from schemas.topics import TRANSACTIONS
from stats_store.backend.options import RocksDBOptions
from stats_store.store import PartitionStore
from workers.topics import create_topics

ALL_SCOPES = ("seller", "category", "global")
_BEGAN = time.monotonic()


def say(sentence: str) -> None:
    """Tell of progress, on stderr."""
    print(f"[{time.monotonic() - _BEGAN:6.1f} s] {sentence}", file=sys.stderr, flush=True)


@dataclass
class Bench:
    """A broker, the sales, and where the peers run.

    Attributes:
        servers: the broker's address.
        folder: for state.
        sales: of which every peer counts the first so many.
        core: the one that every peer runs on.
        broker: the broker's processes.
    """

    servers: str
    folder: Path
    sales: Sales
    core: int
    broker: Sequence[psutil.Process]
    _topics: dict[int, str] = field(default_factory=dict)
    _expected: dict[tuple[int, tuple[str, ...]], Counted] = field(default_factory=dict)

    def topic(self, events: int) -> str:
        """Return a topic of the first so many sales, which is made at the first call."""
        if events not in self._topics:
            say(f"Publishing {events:,} sales")
            prefix = f"first-{events}."
            self.make_topics(prefix)
            self.first(events).publish(self.servers, prefix + TRANSACTIONS)
            self._topics[events] = prefix + TRANSACTIONS
        return self._topics[events]

    def first(self, events: int) -> Sales:
        """Return the first so many sales."""
        sales = self.sales
        return Sales(sales.sellers[:events], sales.categories[:events], sales.prices[:events])

    def make_topics(self, prefix: str) -> None:
        """Make the topics of our contract under a prefix, with one partition each."""
        create_topics(
            {"bootstrap.servers": self.servers},
            prefix=prefix,
            partitions=1,
            replication_factor=1,
            keep_all=True,
        )

    def expected(self, events: int, scopes: tuple[str, ...]) -> Counted:
        """Return what the first so many sales come to."""
        if (events, scopes) not in self._expected:
            self._expected[events, scopes] = self.sales.counted(events, scopes=scopes)
        return self._expected[events, scopes]


def worker_environment(servers: str, prefix: str, folder: Path, **more: str) -> dict[str, str]:
    """Return the settings of our worker; `more` by the names of settings."""
    return {
        "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": servers,
        "SECONDSIGHT_TOPIC_PREFIX": prefix,
        "SECONDSIGHT_DATA_DIR": str(folder),
        "SECONDSIGHT_LOG_LEVEL": "warning",
        **{f"SECONDSIGHT_{name.upper()}": value for name, value in more.items()},
    }


def run_ours(bench: Bench, number: int, events: int, *, bad: float = 0.0) -> Run:
    """Run our worker, as it is installed, over sales of which a further share is bad."""
    prefix, folder = f"ours-{number}.", bench.folder / f"ours-{number}"
    bench.make_topics(prefix)
    topic = prefix + TRANSACTIONS
    say(f"Publishing {events:,} sales, {bad:.0%} beside them bad")
    records = bench.first(events).publish(bench.servers, topic, bad=bad)
    environment = worker_environment(bench.servers, prefix, folder, max_idle_ms="0")
    say("Running secondsight")
    command = [sys.executable, "-m", "workers.cli.main", "stats"]
    process = start_on(bench.core, command, environment=environment)
    try:
        run = follow(
            process,
            servers=bench.servers,
            group=f"{prefix}secondsight-stats",
            topic=topic,
            events=records,
            broker=bench.broker,
        )
    finally:
        stop(process)
    check_dead_letters(bench.servers, dead_letter_topic(topic), records - events)
    expected = bench.expected(events, ALL_SCOPES)
    store = PartitionStore.open(folder / "stats" / "0", 0, options=RocksDBOptions())
    try:
        check("secondsight", lambda: read_ours(store, expected), expected, scopes=ALL_SCOPES)
    finally:
        store.close()
    return run


def run_java(bench: Bench, number: int, events: int, *, topology: str) -> Run:
    """Run a topology of Kafka Streams: `dsl` or `expert`."""
    topic, group = bench.topic(events), f"{topology}-{number}"
    java = java_command(bench.folder / "classes", say)
    say(f"Running Kafka Streams: {topology}")
    process = start_on(
        bench.core,
        [*java, topology, bench.servers, group, topic, str(bench.folder / group)],
    )
    repartition = ("category", "global") if topology == "dsl" else ()
    try:
        run = follow(
            process,
            servers=bench.servers,
            group=group,
            topic=topic,
            events=events,
            then_drained=[f"{group}-{scope}-repartition" for scope in repartition],
            broker=bench.broker,
        )
    finally:
        stop(process)
    expected = bench.expected(events, ALL_SCOPES)
    check(group, lambda: read_java(bench.servers, group), expected, scopes=ALL_SCOPES)
    return run


def run_quix(bench: Bench, number: int, events: int) -> Run:
    """Run the topology on Quix Streams."""
    python = peer_python("quix", say)
    topic, group = bench.topic(events), f"quix-{number}"
    say("Running Quix Streams")
    program = str(HERE / "quix_topology.py")
    process = start_on(
        bench.core, [python, program, bench.servers, group, topic, str(bench.folder / group)]
    )
    try:
        run = follow(
            process,
            servers=bench.servers,
            group=group,
            topic=topic,
            events=events,
            broker=bench.broker,
        )
    finally:
        stop(process)
    expected = bench.expected(events, ALL_SCOPES)
    check(group, lambda: read_quix(bench.servers, group, topic), expected, scopes=ALL_SCOPES)
    return run


def run_faust(bench: Bench, number: int, events: int) -> Run:
    """Run the topology on Faust, which counts sellers alone."""
    python = peer_python("faust", say)
    topic, group = bench.topic(events), f"faust-{number}"
    say("Running Faust")
    environment = {
        "PEER_SERVERS": bench.servers,
        "PEER_GROUP": group,
        "PEER_TOPIC": topic,
        "PEER_FOLDER": str(bench.folder / group),
    }
    command = [python, str(HERE / "faust_topology.py"), "worker", "--loglevel", "warn"]
    process = start_on(bench.core, command, environment=environment)
    try:
        run = follow(
            process,
            servers=bench.servers,
            group=group,
            topic=topic,
            events=events,
            broker=bench.broker,
        )
    finally:
        stop(process)
    expected = bench.expected(events, ("seller",))
    check(group, lambda: read_faust(bench.servers, group), expected, scopes=("seller",))
    return run
