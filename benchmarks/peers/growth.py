"""What an event costs our worker where few or very many sellers are known already."""

import shutil
import sys
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, Producer

from benchmarks.peers.measure import committed, follow, peak_bytes, start_on, stop
from benchmarks.peers.runs import Bench, say, worker_environment
from benchmarks.peers.sales import Sales
from schemas.topics import MAX_MESSAGE_BYTES, STATS_CHANGELOG, TRANSACTIONS
from stats_store.backend.options import RocksDBOptions
from stats_store.store import PartitionStore

EVENTS = 200_000  # twenty full batches
_FILL_BATCH = 20_000
_WORKER = [sys.executable, "-m", "workers.cli.main", "stats"]


@dataclass(frozen=True)
class Grown:
    """Costs with so many sellers known.

    Attributes:
        sellers: each with a sale before the measured ones.
        cpu_us: processor time of the worker for an event.
        peak_bytes: most memory it had resident.
        disk_bytes: of its folder, before the measured sales.
        restored_mb_per_s: MB (10^6 bytes of keys and values) of changelog a second, from the
            start of a worker without a state to its first commit.
        restored_records_per_s: records of the changelog, over the same time.
    """

    sellers: int
    cpu_us: float
    peak_bytes: int
    disk_bytes: int
    restored_mb_per_s: float
    restored_records_per_s: float


def cost_at(bench: Bench, sellers: int) -> Grown:
    """Fill a state with one sale of each seller, restore it, then measure EVENTS further sales.

    The state is filled by the store itself, and what it says changed is written to the changelog
    as the worker would: the sales do not pass through Kafka, so ten million take minutes.
    """
    prefix, folder = f"grown-{sellers}.", bench.folder / f"grown-{sellers}"
    bench.make_topics(prefix)
    started = time.monotonic()
    size, records = _fill(bench.servers, prefix, folder, sellers)
    disk = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    say(f"{sellers:,} sellers known after {time.monotonic() - started:.0f} s")
    topic, group = prefix + TRANSACTIONS, f"{prefix}secondsight-stats"
    sales = Sales.draw(EVENTS, sellers=sellers, seed=2)
    settings = worker_environment(
        bench.servers, prefix, folder, max_idle_ms="0", batch_max_records="10000"
    )
    seconds, base = _restore_seconds(bench, prefix, folder)
    sales.publish(bench.servers, topic, tag="new")
    say(f"Running secondsight with {sellers:,} sellers")
    process = start_on(bench.core, _WORKER, environment=settings)
    try:
        run = follow(
            process,
            servers=bench.servers,
            group=group,
            topic=topic,
            events=base + EVENTS,
            broker=bench.broker,
        )
        peak = peak_bytes(process.pid)
    finally:
        stop(process)
    return Grown(sellers, 1e6 / run.per_cpu_s, peak, disk, size / 1e6 / seconds, records / seconds)


def _fill(servers: str, prefix: str, folder: Path, sellers: int) -> tuple[int, int]:
    """Return bytes and number of the records of the changelog."""
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "linger.ms": 50,
            "queue.buffering.max.messages": 500_000,
            "message.max.bytes": MAX_MESSAGE_BYTES,
        }
    )
    number = np.arange(sellers)
    drawn = np.random.default_rng(3)
    each_once = Sales(
        number, drawn.integers(500, size=sellers), drawn.integers(100, 1_000_000, size=sellers)
    )
    store = PartitionStore.open(folder / "stats" / "0", 0, options=RocksDBOptions())
    size = records = 0
    try:
        events = each_once.events(tag="old")
        while batch := list(islice(events, _FILL_BATCH)):
            store.look_up(batch)
            for sale in batch:
                store.apply_sale(sale)
            changes = store.changes()
            for key, value in changes:
                size += len(key) + len(value or b"")
                while True:
                    try:
                        producer.produce(prefix + STATS_CHANGELOG, value, key, partition=0)
                    except BufferError:
                        producer.poll(0.1)
                    else:
                        break
            producer.poll(0)
            records += len(changes)
            store.commit(records)
        producer.flush()
    finally:
        store.close()
    return size, records


def _restore_seconds(bench: Bench, prefix: str, folder: Path) -> tuple[float, int]:
    """Let a worker restore the state anew; return how long that took and what it committed.

    The time ends at the first commit, of a single sale, and so includes the worker's start (about
    a second) and joining its group.
    """
    shutil.rmtree(folder)
    group = f"{prefix}secondsight-stats"
    Sales.draw(1, sellers=1).publish(bench.servers, prefix + TRANSACTIONS, tag="first")
    say("Restoring from the changelog")
    environment = worker_environment(bench.servers, prefix, folder, max_idle_ms="0")
    observer = Consumer({"bootstrap.servers": bench.servers, "group.id": group})
    started = time.perf_counter()
    process = start_on(bench.core, _WORKER, environment=environment)
    try:
        while (done := committed(observer, prefix + TRANSACTIONS)) < 1:
            if process.poll() is not None:
                raise SystemExit(f"the worker ended with {process.returncode}")
            time.sleep(0.02)
        seconds = time.perf_counter() - started
    finally:
        stop(process)
        observer.close()
    return seconds, done
