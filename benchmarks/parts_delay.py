"""Seconds until a sale counted by one stats worker shows in another's category statistics.

One run on a real broker: two workers with a partition each. A sale is published to the first
one's partition, and the second one is asked over HTTP, every 5 ms, for the sales of the category
everywhere. The limit it is put beside is the setting that causes the delay, how often a partition
publishes its parts (SECONDSIGHT_PARTIALS_INTERVAL_MS). In the end both workers must say what was
sold in all.

    python benchmarks/parts_delay.py [SALES]
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from schemas.cloudevents import encode
from schemas.partitioner import partition_for
from schemas.sale import ItemSold
from schemas.topics import TRANSACTIONS
from workers.local.broker import LocalBroker
from workers.local.ports import LOOPBACK, choose_ports
from workers.runtime.settings import Settings
from workers.topics import create_topics

PARTITIONS = 2
ASK_EVERY_S = 0.005
DEADLINE_S = 60.0
CATEGORY, CURRENCY = "Boots", "GBP"
SELLERS = {
    partition: next(
        name
        for n in count()
        if partition_for((name := f"seller-{n}").encode(), PARTITIONS) == partition
    )
    for partition in range(PARTITIONS)
}


class Worker:
    """A stats worker and its HTTP port."""

    def __init__(self, servers: str, folder: Path, port: int) -> None:
        self._port = port
        environment = {
            "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": servers,
            "SECONDSIGHT_DATA_DIR": str(folder),
            "SECONDSIGHT_LOG_LEVEL": "warning",
            "SECONDSIGHT_HEALTH_HOST": LOOPBACK,
            "SECONDSIGHT_HEALTH_PORT": str(port),
        }
        command = [sys.executable, "-m", "workers.cli.main", "stats"]
        self.process = subprocess.Popen(command, env=os.environ | environment)

    def ask(self) -> dict[str, Any]:
        """Return what it says of the category, {} where it does not answer yet."""
        url = f"http://{LOOPBACK}:{self._port}/stats/category/{CATEGORY}?currency={CURRENCY}"
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            return dict(json.load(answer))
        return {}

    def partitions(self) -> list[int]:
        """Return the partitions that it answers for."""
        return [state["partition"] for state in self.ask().get("here", {}).get("state", [])]

    def everywhere(self) -> int:
        """Return how many sales of the category it knows of, its own and the other's."""
        return int(self.ask()["everywhere"]["statistics"]["count"])


def sell(producer: Producer, number: int, partition: int) -> None:
    """Publish a sale of a seller of a partition."""
    now = datetime.now(UTC)
    sale = ItemSold(
        transaction_id=f"t{number}",
        listing_id=f"l{number}",
        seller_id=SELLERS[partition],
        category=CATEGORY,
        price_minor=1_000 + number,
        currency=CURRENCY,
        sold_at=now,
    )
    producer.produce(
        TRANSACTIONS,
        sale.to_bytes(),
        sale.seller_id,
        partition=partition,
        headers=[*encode(sale, event_id=f"s{number}", source="/bench", time=now)],
    )
    producer.flush()


def wait(what: str, condition: Any) -> float:
    """Return the seconds until a condition holds."""
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > DEADLINE_S:
            sys.exit(f"{what}: not within {DEADLINE_S:.0f} s")
        time.sleep(ASK_EVERY_S)
    return time.perf_counter() - began


def main() -> None:
    sales = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as name, LocalBroker() as broker:
        servers = broker.bootstrap_servers
        create_topics(
            {"bootstrap.servers": servers},
            prefix="",
            partitions=PARTITIONS,
            replication_factor=1,
            keep_all=True,
        )
        ports = choose_ports(None)
        workers = [Worker(servers, Path(name) / str(port), port) for port in ports]
        try:
            wait(
                "a partition each",
                lambda: sorted(each.partitions() for each in workers) == [[0], [1]],
            )
            producer = Producer({"bootstrap.servers": servers, "linger.ms": 0})
            by_partition = {each.partitions()[0]: each for each in workers}
            delays = []
            for number in range(sales):
                sell(producer, number, number % 2)
                asked = by_partition[1 - number % 2]
                delays.append(
                    wait("the sale", lambda: asked.everywhere() == number + 1)  # noqa: B023
                )
            for each in workers:
                wait("all sales", lambda: each.everywhere() == sales)  # noqa: B023
        finally:
            for each in workers:
                each.process.terminate()
            for each in workers:
                each.process.wait()
    interval_s = Settings().partials_interval_ms / 1000
    delays.sort()
    worst = delays[-1]
    print(
        f"{sales} sales, one by one: half of them show at the other worker within "
        f"{statistics.median(delays):.3f} s, all within {worst:.3f} s; parts are published every "
        f"{interval_s} s"
    )
    figures = {
        "p50_s": round(statistics.median(delays), 3),
        "p99_s": round(delays[int(len(delays) * 0.99) - 1], 3),
        "worst_s": round(worst, 3),
        "partials_interval_s": interval_s,
        "worst_to_interval": round(worst / interval_s, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
