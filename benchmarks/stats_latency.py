"""Milliseconds from `listing.created` to `listing.enriched`, quiet and at half of full load.

One run on a real broker, the worker on one core, all else on the other. First the full load: how
fast the worker takes what has piled up. Then listings alone, a few a second, and then listings
among sales at half the full load. The time runs from just before a listing is given to the
producer (`linger.ms=0`) to the moment a read_committed consumer has its answer, so it includes
the transaction: for what is quiet it is the time from arrival to commit.

    python benchmarks/stats_latency.py [--seconds N] [--load SALES_PER_S]
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Producer

sys.path.insert(0, str(Path(__file__).parents[1]))  # for benchmarks.peers, run from anywhere

from benchmarks.peers.answers import Answers, committed_reader
from benchmarks.peers.measure import (
    broker_processes,
    follow,
    keep_to_the_other_core,
    start_on,
    stop,
)
from benchmarks.peers.runs import Bench, say, worker_environment
from benchmarks.peers.sales import CURRENCY, Sales
from schemas.cloudevents import encode
from schemas.image import ImageReference
from schemas.listing import ListingCreated
from schemas.topics import LISTING_CREATED, LISTING_ENRICHED, TRANSACTIONS
from workers.local.broker import LocalBroker
from workers.local.ports import LOOPBACK, choose_ports
from workers.runtime.settings import Settings

PREFIX = "latency."
LISTINGS_PER_S = 50
TICK_S = 0.005  # how often sales are handed to the producer


def send_listing(producer: Producer, answers: Answers, name: str, number: int) -> None:
    now = datetime.now(UTC)
    listing = ListingCreated(
        listing_id=name,
        seller_id=f"seller-{number % 1000}",
        category=f"Category > {number % 500}",
        currency=CURRENCY,
        images=(ImageReference(uri="https://example.org/photo.jpg"),),
        listed_at=now,
    )
    answers.sent[name] = time.perf_counter()
    producer.produce(
        PREFIX + LISTING_CREATED,
        listing.to_bytes(),
        listing.seller_id,
        partition=0,
        headers=[*encode(listing, event_id=name, source="/bench", time=now)],
    )
    producer.poll(0)


def quiet(producer: Producer, answers: Answers, seconds: float) -> None:
    pause = threading.Event()
    for number in range(round(10 * seconds)):
        send_listing(producer, answers, f"quiet-{number}", number)
        pause.wait(0.1)


def loaded(
    servers: str, producer: Producer, answers: Answers, seconds: float, load: float
) -> float:
    """Send sales at `load` a second with listings among them; return the load that came about."""
    count = round(load * seconds)
    say(f"Preparing {count:,} sales")
    records = [
        (
            sale.to_bytes(),
            sale.seller_id,
            [*encode(sale, event_id=f"load{number}", source="/bench", time=sale.sold_at)],
        )
        for number, sale in enumerate(Sales.draw(count, sellers=100_000, seed=5).events(tag="load"))
    ]
    pause = threading.Event()
    payments = Producer({"bootstrap.servers": servers, "linger.ms": 5})
    listings = sent = 0
    started = time.perf_counter()
    while sent < count:
        due = min(count, int(load * (time.perf_counter() - started)))
        for value, key, headers in records[sent:due]:
            payments.produce(PREFIX + TRANSACTIONS, value, key, partition=0, headers=[*headers])
        sent = due
        while listings < LISTINGS_PER_S * (time.perf_counter() - started):
            send_listing(producer, answers, f"loaded-{listings}", listings)
            listings += 1
        payments.poll(0)
        producer.poll(0)
        pause.wait(TICK_S)
    rate = count / (time.perf_counter() - started)
    payments.flush()
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each of the two loads")
    parser.add_argument("--sales", type=int, default=300_000, help="that have piled up at first")
    parser.add_argument("--load", type=float, help="sales a second; half the measured full load")
    options = parser.parse_args()
    core = keep_to_the_other_core()
    with tempfile.TemporaryDirectory() as folder, LocalBroker(say=say) as broker:
        servers = broker.bootstrap_servers
        processes = broker_processes()
        sales = Sales.draw(options.sales, sellers=100_000)
        bench = Bench(servers, Path(folder), sales, core, processes)
        bench.make_topics(PREFIX)
        say(f"Publishing {options.sales:,} sales")
        sales.publish(servers, PREFIX + TRANSACTIONS, tag="before")
        consumer = committed_reader(servers, PREFIX + LISTING_ENRICHED)
        answers, ended = Answers(), threading.Event()
        reader = threading.Thread(target=answers.follow, args=(consumer, ended))
        reader.start()
        port, _ = choose_ports(None)
        metrics = f"http://{LOOPBACK}:{port}/metrics"
        command = [sys.executable, "-m", "workers.cli.main", "stats"]
        worker = start_on(
            core,
            command,
            environment=worker_environment(
                servers,
                PREFIX,
                Path(folder) / "state",
                health_port=str(port),
                health_host=LOOPBACK,
            ),
        )
        group = f"{PREFIX}secondsight-stats"
        try:
            say("Running secondsight through what has piled up")
            full = follow(
                worker,
                servers=servers,
                group=group,
                topic=PREFIX + TRANSACTIONS,
                events=options.sales,
                broker=processes,
            ).per_s
            producer = Producer({"bootstrap.servers": servers, "linger.ms": 0, "log_level": 2})
            say(f"Full load {full:,.0f} a second; now listings alone")
            quiet(producer, answers, options.seconds)
            answers.await_all()
            wanted = options.load or full / 2
            before, at = _transactions(metrics), time.perf_counter()
            load = loaded(servers, producer, answers, options.seconds, wanted)
            interval_ms = 1000 * (time.perf_counter() - at) / (_transactions(metrics) - before)
            answers.await_all()
            producer.flush()
        finally:
            stop(worker)
            ended.set()
            reader.join()
            consumer.close()
    settings = Settings()
    figures = {
        "full_load_per_s": round(full),
        "quiet_p50_ms": answers.percentile_ms(0.5, "quiet"),
        "quiet_p99_ms": answers.percentile_ms(0.99, "quiet"),
        "load_per_s": round(load),
        "loaded_p50_ms": answers.percentile_ms(0.5, "loaded"),
        "loaded_p99_ms": answers.percentile_ms(0.99, "loaded"),
        "transaction_interval_ms": round(interval_ms, 1),
        "batch_max_wait_ms": settings.batch_max_wait_ms,
        "max_idle_ms": settings.max_idle_ms,
        "cores": os.cpu_count(),
    }
    for name, value in figures.items():
        print(f"{name:<28}{value:>10,}")
    print(json.dumps(figures))


def _transactions(metrics: str) -> int:
    """Return how many transactions the worker has committed."""
    with urllib.request.urlopen(metrics) as answer:  # noqa: S310 - a constant scheme
        for line in answer.read().decode().splitlines():
            if line.startswith('secondsight_transactions_total{outcome="committed"}'):
                return int(float(line.rpartition(" ")[2]))
    raise SystemExit("the worker's metrics do not tell of transactions")


if __name__ == "__main__":
    main()
