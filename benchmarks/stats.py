"""Transactions a second of the stats worker, beside a bare consumer of the same log.

One run on a real broker: N sales of Zipf sellers are published, then (1) a plain consumer reads
and parses them as JSON and does nothing else, which is the limit of any worker in Python, and
(2) the stats worker processes them with everything on: validation, duplicate memory, three
scopes, RocksDB, changelog, and one Kafka transaction a batch.

    python benchmarks/stats.py [SALES]
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from schemas.cloudevents import encode
from schemas.sale import ItemSold
from schemas.topics import TRANSACTIONS
from workers.local.broker import LocalBroker
from workers.topics import create_topics

SELLERS, CATEGORIES = 100_000, 500
START = datetime(2026, 1, 1, tzinfo=UTC)


def publish(servers: str, sales: int) -> None:
    producer = Producer(
        {"bootstrap.servers": servers, "linger.ms": 50, "queue.buffering.max.messages": 200_000}
    )
    draw = random.Random(1)
    weights = [1 / rank for rank in range(1, SELLERS + 1)]
    sellers = draw.choices(range(SELLERS), weights, k=sales)
    for number, seller in enumerate(sellers):
        moment = START + timedelta(seconds=number)
        sale = ItemSold(
            transaction_id=f"t{number}",
            listing_id=f"l{number}",
            seller_id=f"seller-{seller}",
            category=f"Category > {draw.randrange(CATEGORIES)}",
            price_minor=draw.randrange(100, 1_000_000),
            currency="GBP",
            sold_at=moment,
        )
        while True:
            try:
                producer.produce(
                    TRANSACTIONS,
                    sale.to_bytes(),
                    sale.seller_id,
                    partition=0,
                    timestamp=int(moment.timestamp() * 1000),
                    headers=[*encode(sale, event_id=f"s{number}", source="/bench", time=moment)],
                )
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


def bare_rate(servers: str, sales: int) -> float:
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": "bare", "fetch.queue.backoff.ms": 5}
    )
    consumer.assign([TopicPartition(TRANSACTIONS, 0, 0)])
    read, started = 0, None
    while read < sales:
        for message in consumer.consume(10_000, 1.0):
            started = started or time.perf_counter()
            json.loads(message.value() or b"{}")
            read += 1
    assert started is not None  # noqa: S101
    consumer.close()
    return sales / (time.perf_counter() - started)


def worker_rate(servers: str, sales: int, folder: Path) -> tuple[float, float]:
    """Return sales a second by the clock and a CPU second, from the first commit to the last."""
    environment = {
        **os.environ,
        "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": servers,
        "SECONDSIGHT_DATA_DIR": str(folder),
        "SECONDSIGHT_MAX_IDLE_MS": "0",
        "SECONDSIGHT_BATCH_MAX_RECORDS": "10000",
        "SECONDSIGHT_LOG_LEVEL": "warning",
    }
    observer = Consumer({"bootstrap.servers": servers, "group.id": "secondsight-stats"})
    where = [TopicPartition(TRANSACTIONS, 0)]
    worker = subprocess.Popen([sys.executable, "-m", "workers.cli.main", "stats"], env=environment)
    try:
        first: tuple[int, float] | None = None
        cpu_before = 0.0
        while True:
            done = committed(observer, where)
            if done > 0 and first is None:
                first = done, time.perf_counter()
                cpu_before = _cpu_seconds(worker.pid)
            if done >= sales:
                break
            time.sleep(0.02)
        assert first is not None  # noqa: S101
        counted = sales - first[0]
        return (
            counted / (time.perf_counter() - first[1]),
            counted / (_cpu_seconds(worker.pid) - cpu_before),
        )
    finally:
        worker.terminate()
        worker.wait(30)
        observer.close()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def committed(observer: Consumer, where: list[TopicPartition]) -> int:
    """Return the offset that the worker's group has committed; below 0 where there is none yet."""
    try:
        return int(observer.committed(where, timeout=10)[0].offset)
    except KafkaException:  # a young group's coordinator is still being found
        return -1


def main() -> None:
    sales = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder, LocalBroker() as broker:
        servers = broker.bootstrap_servers
        create_topics(
            {"bootstrap.servers": servers},
            prefix="",
            partitions=1,
            replication_factor=1,
            keep_all=True,
        )
        publish(servers, sales)
        limit = bare_rate(servers, sales)
        rate, cpu_rate = worker_rate(servers, sales, Path(folder))
    print(
        f"{sales:,} sales, {SELLERS:,} Zipf sellers, {CATEGORIES} categories, one partition: "
        f"worker {rate:,.0f}/s ({cpu_rate:,.0f} a CPU second), bare consumer with json.loads "
        f"{limit:,.0f}/s"
    )
    print(
        json.dumps(
            {
                "events_per_s": round(rate),
                "events_per_cpu_s": round(cpu_rate),
                "bare_consumer_per_s": round(limit),
                "share_of_bare_consumer": round(rate / limit, 4),
                "sales": sales,
            }
        )
    )


if __name__ == "__main__":
    main()
