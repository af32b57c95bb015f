"""Listings a second of the suggest worker, beside the bare forward pass of its model.

One run on a real broker: photos of 640 x 480 are simulated and a small bundle is trained on them
(or --bundle is used); then (1) the model alone runs over batches that are decoded already, on
all cores, and (2) the worker answers the same photos from `listing.enriched`: fetch, decode,
faults, forward, answers and offsets in one transaction a batch, all on the same cores. (1) is
measured before and after (2), and the mean is taken, since the machine's speed drifts.

    python benchmarks/suggest.py [--listings N] [--bundle DIR]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from models.dataset.reader import read_dataset
from models.extractors.registry import backbone
from models.head_training import Objective
from models.pricer import Pricer
from models.training import train_bundle
from schemas.cloudevents import encode
from schemas.image import ImageReference
from schemas.listing import ListingEnriched
from schemas.topics import LISTING_ENRICHED
from simulator.market import simulate
from workers.local.broker import LocalBroker
from workers.topics import create_topics

START = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = 32
SECONDS_OF_FORWARD = 10.0


def forward_rate(pricer: Pricer, photos: list[Path]) -> float:
    prepared = [pricer.prepare(photo.read_bytes()) for photo in photos[:BATCH]]
    pricer.features(prepared)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS_OF_FORWARD:
        pricer.features(prepared)
        done += len(prepared)
    return done / (time.perf_counter() - started)


def publish(servers: str, pricer: Pricer, photos: list[Path], listings: int) -> None:
    producer = Producer({"bootstrap.servers": servers})
    for number in range(listings):
        moment = START + timedelta(seconds=number)
        event = ListingEnriched(
            listing_id=f"l{number}",
            seller_id=f"seller-{number % 100}",
            category="Things",
            currency=pricer.currency,
            images=(ImageReference(uri=photos[number % len(photos)].as_uri()),),
            listed_at=moment,
            statistics=pricer.snapshot_statistics(None),
        )
        producer.produce(
            LISTING_ENRICHED,
            event.to_bytes(),
            event.seller_id,
            partition=0,
            headers=[*encode(event, event_id=f"e{number}", source="/bench", time=moment)],
        )
    producer.flush()


def worker_rate(servers: str, bundle: Path, photos: Path, listings: int) -> float:
    """Return listings a second from the first committed batch to the last."""
    environment = {
        **os.environ,
        "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": servers,
        "SECONDSIGHT_BUNDLE": str(bundle),
        "SECONDSIGHT_IMAGE_FILE_ROOTS": str(photos),
        "SECONDSIGHT_LOG_LEVEL": "warning",
    }
    observer = Consumer({"bootstrap.servers": servers, "group.id": "secondsight-suggest"})
    where = [TopicPartition(LISTING_ENRICHED, 0)]
    worker = subprocess.Popen(
        [sys.executable, "-m", "workers.cli.main", "suggest"], env=environment
    )
    try:
        first: tuple[int, float] | None = None
        while (done := committed(observer, where)) < listings:
            if done > 0 and first is None:
                first = done, time.perf_counter()
            if worker.poll() is not None:
                raise SystemExit("the worker ended")
            time.sleep(0.05)
        if first is None:
            raise SystemExit("too few listings to measure; give more with --listings")
        return (listings - first[0]) / (time.perf_counter() - first[1])
    finally:
        worker.terminate()
        worker.wait(30)
        observer.close()


def committed(observer: Consumer, where: list[TopicPartition]) -> int:
    """Return the offset that the worker's group has committed; below 0 where there is none yet."""
    try:
        return int(observer.committed(where, timeout=10)[0].offset)
    except KafkaException:  # a young group's coordinator is still being found
        return -1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listings", type=int, default=1_500)
    parser.add_argument("--bundle", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, LocalBroker() as broker:
        folder, servers = Path(name), broker.bootstrap_servers
        simulate(folder / "market", listings=400, fault_share=0.0)
        dataset = read_dataset(folder / "market")
        bundle = options.bundle or folder / "bundle"
        if options.bundle is None:
            train_bundle(dataset, bundle, backbone=backbone("lite2"), objective=Objective())
        photos = [image for listing in dataset.listings for image in listing.images]
        create_topics(
            {"bootstrap.servers": servers},
            prefix="",
            partitions=1,
            replication_factor=1,
            keep_all=True,
        )
        pricer = Pricer.load(bundle)
        publish(servers, pricer, photos, options.listings)
        before = forward_rate(pricer, photos)
        rate = worker_rate(servers, bundle, folder / "market", options.listings)
        forward = (before + forward_rate(pricer, photos)) / 2
    print(
        f"{options.listings:,} listings with one 640 x 480 photo each: worker {rate:.1f}/s, bare "
        f"forward pass {forward:.1f}/s, on {os.cpu_count()} cores"
    )
    print(
        json.dumps(
            {
                "listings_per_s": round(rate, 1),
                "forward_per_s": round(forward, 1),
                "share_of_forward": round(rate / forward, 3),
                "listings": options.listings,
                "device": "cpu",
            }
        )
    )


if __name__ == "__main__":
    main()
