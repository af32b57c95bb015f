"""Seconds from the kill -9 of a stats worker to the answer of the one that took over.

One run on a real broker: two workers, one partition, SALES sales in the state. The owner is killed
and a listing published; the clock stops when a reader of committed records sees it enriched.
Done by turns with a standby and without one (the other worker's data folder is emptied then), so
the ratio says what the standby is worth; session timeout 3 s, transaction timeout 5 s.

    python benchmarks/takeover.py [SALES] [ROUNDS]
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.cloudevents import encode
from schemas.image import ImageReference
from schemas.listing import ListingCreated
from schemas.sale import ItemSold
from schemas.topics import LISTING_CREATED, LISTING_ENRICHED, TRANSACTIONS
from workers.local.broker import LocalBroker
from workers.topics import create_topics

SESSION_TIMEOUT_MS, TRANSACTION_TIMEOUT_MS = 3_000, 5_000
START = datetime(2026, 1, 1, tzinfo=UTC)


class Bench:
    """The workers, what is published to them, and what they answer."""

    def __init__(self, servers: str, folder: Path) -> None:
        self._servers, self._folder = servers, folder
        self._producer = Producer({"bootstrap.servers": servers, "linger.ms": 5})
        self._reader = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "takeover",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
            }
        )
        self._reader.assign([TopicPartition(LISTING_ENRICHED, 0, 0)])
        self._listings = 0

    def sell(self, sales: int) -> None:
        """Publish so many sales of 10,000 sellers."""
        for number in range(sales):
            at = START + timedelta(seconds=number)
            sale = ItemSold(
                transaction_id=f"t{number}",
                listing_id=f"l{number}",
                seller_id=f"seller-{number % 10_000}",
                category=f"Category > {number % 500}",
                price_minor=100 + number,
                currency="GBP",
                sold_at=at,
            )
            self._producer.produce(
                TRANSACTIONS,
                sale.to_bytes(),
                sale.seller_id,
                partition=0,
                headers=[*encode(sale, event_id=f"s{number}", source="/bench", time=at)],
            )
            if number % 10_000 == 0:
                self._producer.flush()
        self._producer.flush()

    def publish_listing(self) -> None:
        """Publish the next listing."""
        self._listings += 1
        listing = ListingCreated(
            listing_id=f"new{self._listings}",
            seller_id="seller-1",
            category="Category > 1",
            currency="GBP",
            images=(ImageReference(uri="https://photos.example.org/1.jpg"),),
            listed_at=START,
        )
        name = f"listing-{self._listings}"
        self._producer.produce(
            LISTING_CREATED,
            listing.to_bytes(),
            listing.seller_id,
            partition=0,
            headers=[*encode(listing, event_id=name, source="/bench", time=START)],
        )
        self._producer.flush()

    def wait_for_answer(self) -> None:
        """Return when the next listing is enriched."""
        while True:
            message = self._reader.poll(0.05)
            if message is not None and message.error() is None:
                return

    def worker(self, data: str, *, standby: bool) -> subprocess.Popen[bytes]:
        """Start a worker with a data folder of this name."""
        environment = {
            "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": self._servers,
            "SECONDSIGHT_DATA_DIR": str(self._folder / data),
            "SECONDSIGHT_STANDBY": "true" if standby else "false",
            "SECONDSIGHT_SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MS),
            "SECONDSIGHT_TRANSACTION_TIMEOUT_MS": str(TRANSACTION_TIMEOUT_MS),
            "SECONDSIGHT_LOG_FORMAT": "json",
            "SECONDSIGHT_HEALTH_PORT": "",
        }
        command = [sys.executable, "-m", "workers.cli.main", "stats"]
        with (self._folder / f"{data}.log").open("wb") as log:
            return subprocess.Popen(command, env=os.environ | environment, stderr=log)

    def await_logged(self, data: str, words: str) -> None:
        """Return when a worker has logged these words."""
        while words not in (self._folder / f"{data}.log").read_text():
            time.sleep(0.02)

    def round(self, *, standby: bool) -> float:
        """Kill an owner beside a second worker; return the seconds to the next answer."""
        owner = self.worker("owner", standby=False)
        self.publish_listing()
        self.wait_for_answer()
        shutil.rmtree(self._folder / "other", ignore_errors=True)
        other = self.worker("other", standby=standby)
        self.await_logged("other", '"partitions assigned"')
        if standby:
            self.await_logged("other", "standby follows")
            time.sleep(3)  # more than it takes to read the little that there is
        try:
            owner.kill()
            started = time.perf_counter()
            self.publish_listing()
            self.wait_for_answer()
            return time.perf_counter() - started
        finally:
            owner.wait()
            other.terminate()
            other.wait()


def main() -> None:
    sales = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as name, LocalBroker() as broker:
        create_topics(
            {"bootstrap.servers": broker.bootstrap_servers},
            prefix="",
            partitions=1,
            replication_factor=1,
            keep_all=True,
        )
        bench = Bench(broker.bootstrap_servers, Path(name))
        bench.sell(sales)
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(rounds):
            for standby in (True, False):
                seconds[standby].append(bench.round(standby=standby))
    with_it, without = (statistics.median(seconds[each]) for each in (True, False))
    print(
        f"{sales:,} sales; session timeout {SESSION_TIMEOUT_MS / 1000} s, transaction timeout "
        f"{TRANSACTION_TIMEOUT_MS / 1000} s; seconds with a standby {seconds[True]}, without "
        f"{seconds[False]}"
    )
    figures = {
        "takeover_s": round(with_it, 2),
        "worst_takeover_s": round(max(seconds[True]), 2),
        "without_standby_s": round(without, 2),
        "session_timeout_s": SESSION_TIMEOUT_MS / 1000,
        "times_faster": round(without / with_it, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
