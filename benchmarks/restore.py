"""How fast a state is restored from its changelog, beside a consumer that only reads it.

One run on a real broker: the changelog of N sales, of Zipf sellers in 500 categories, is written
as the stats worker writes it (batches of 5,000 in transactions, lz4). Then, each in turn and
several times: (1) a bare consumer with the same options reads it and drops it, and (2) a store
without state is restored from it. The ratio of their best times is told, with MB by the bytes of
keys and values. A plain write of as many bytes, synced, says what the disk does.

    python benchmarks/restore.py [SALES]
"""

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Message, Producer

from schemas.sale import ItemSold
from schemas.topics import STATS_CHANGELOG
from stats_store.backend.options import RocksDBOptions
from stats_store.store import PartitionStore
from workers.local.broker import LocalBroker
from workers.runtime.clients import ClientOptions
from workers.runtime.log_reader import read_to_end
from workers.topics import create_topics

SELLERS, CATEGORIES, BATCH = 100_000, 500, 5_000
START = datetime(2026, 1, 1, tzinfo=UTC)
ROUNDS = 3


def never() -> bool:
    return False


def write_changelog(options: ClientOptions, folder: Path, sales: int) -> None:
    """Publish what the worker would for so many sales."""
    draw = random.Random(1)
    sellers = draw.choices(range(SELLERS), [1 / rank for rank in range(1, SELLERS + 1)], k=sales)
    store = PartitionStore.open(folder, 0, options=RocksDBOptions())
    producer = Producer(options.transactional_producer("benchmark"))
    producer.init_transactions(60)
    position = 0
    for first in range(0, sales, BATCH):
        for number in range(first, min(first + BATCH, sales)):
            store.apply_sale(
                ItemSold(
                    transaction_id=f"t{number}",
                    listing_id=f"l{number}",
                    seller_id=f"seller-{sellers[number]}",
                    category=f"Category > {draw.randrange(CATEGORIES)}",
                    price_minor=draw.randrange(100, 1_000_000),
                    currency="GBP",
                    sold_at=START + timedelta(seconds=number),
                )
            )
        store.set_position("transactions", first + BATCH)
        changes = store.changes()
        producer.begin_transaction()
        for key, value in changes:
            producer.produce(STATS_CHANGELOG, value, key, partition=0)
        producer.commit_transaction()
        position += len(changes) + 1  # and the transaction's marker
        store.commit(position)
    store.close()


def read(options: ClientOptions) -> Iterator[Sequence[Message]]:
    return read_to_end(
        options.log_reader(), options.common(), STATS_CHANGELOG, 0, 0, cancelled=never
    )


def bare(options: ClientOptions) -> tuple[float, int, int]:
    """Return seconds, records and bytes."""
    started = time.perf_counter()
    records = size = 0
    for messages in read(options):
        records += len(messages)
    seconds = time.perf_counter() - started
    for messages in read(options):
        size += sum(len(each.key() or b"") + len(each.value() or b"") for each in messages)
    return seconds, records, size


def restored(options: ClientOptions, folder: Path) -> float:
    """Return the seconds that a restore into a new store takes."""
    started = time.perf_counter()
    store = PartitionStore.open(folder, 0, options=RocksDBOptions())
    for messages in read(options):
        store.restore_batch(
            [(each.offset() or 0, each.key() or b"", each.value()) for each in messages]
        )
    seconds = time.perf_counter() - started
    store.close()
    return seconds


def disk(folder: Path, size: int) -> float:
    """Return MB a second of a plain synced write."""
    piece = os.urandom(1_000_000)
    started = time.perf_counter()
    with (folder / "plain").open("wb") as stream:
        for _ in range(max(1, size // len(piece))):
            stream.write(piece)
        os.fsync(stream.fileno())
    return size / 1e6 / (time.perf_counter() - started)


def main() -> None:
    sales = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    with tempfile.TemporaryDirectory() as name, LocalBroker() as broker:
        folder = Path(name)
        options = ClientOptions(bootstrap_servers=broker.bootstrap_servers)
        create_topics(
            options.common(), prefix="", partitions=1, replication_factor=1, keep_all=True
        )
        write_changelog(options, folder / "writer", sales)
        reads, restores = [], []
        for number in range(ROUNDS):
            reads.append(bare(options))
            restores.append(restored(options, folder / f"restored-{number}"))
        megabytes = reads[0][2] / 1e6
        plain = disk(folder, reads[0][2])
    best_read, best = min(each[0] for each in reads), min(restores)
    print(
        f"{sales:,} sales: {megabytes:,.0f} MB of changelog, {reads[0][1]:,} records; bare "
        f"consumer {megabytes / best_read:,.0f} MB/s, restore {megabytes / best:,.0f} MB/s, plain "
        f"synced write {plain:,.0f} MB/s"
    )
    figures = {
        "changelog_mb": round(megabytes, 1),
        "records": reads[0][1],
        "mb_per_s": round(megabytes / best, 1),
        "bare_consumer_mb_per_s": round(megabytes / best_read, 1),
        "share_of_bare_consumer": round(best_read / best, 3),
        "disk_write_mb_per_s": round(plain, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
