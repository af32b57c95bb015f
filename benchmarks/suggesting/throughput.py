"""Listings a second: the bare forward pass, our worker over Kafka and HTTP, the plain worker."""

import sys
import time
from pathlib import Path

from benchmarks.peers.measure import Run, follow, start, stop
from benchmarks.peers.runs import say
from benchmarks.suggesting.given import check_equal, given
from benchmarks.suggesting.scene import BACKBONE, Scene, suggest_group
from schemas.topics import LISTING_ENRICHED, PRICE_SUGGESTED
from workers.runtime.settings import Settings

PREFIX = "throughput."
PLAIN_PREFIX = "plain."
PLAIN = Path(__file__).with_name("plain_worker.py")
SECONDS_OF_FORWARD = 10.0


def forward_rate(scene: Scene) -> float:
    """Return photos a second of the network alone, decoded before, in batches of the worker's."""
    batch = Settings().suggest_batch_max_records
    prepared = [scene.pricer.prepare(photo.read_bytes()) for photo in scene.photos[:batch]]
    scene.pricer.features(prepared)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS_OF_FORWARD:
        scene.pricer.features(prepared)
        done += len(prepared)
    return done / (time.perf_counter() - started)


def run_ours(scene: Scene, listings: int) -> Run:
    """Let our worker answer listings that wait for it; they stay under PREFIX."""
    scene.make_topics(PREFIX)
    scene.publish(PREFIX, 0, listings)
    say(f"Running secondsight over {listings:,} listings")
    worker = scene.start_worker("suggest", PREFIX)
    try:
        return follow(
            worker,
            servers=scene.servers,
            group=suggest_group(PREFIX),
            topic=PREFIX + LISTING_ENRICHED,
            events=listings,
        )
    finally:
        stop(worker)


def run_plain(scene: Scene, listings: int) -> Run:
    """Let the plain worker answer the first so many of the listings that ours has answered.

    Raises:
        SystemExit: its answers are others than ours.
    """
    scene.make_topics(PLAIN_PREFIX)
    group, source, target = "plain", PREFIX + LISTING_ENRICHED, PLAIN_PREFIX + PRICE_SUGGESTED
    say(f"Running the plain worker over {listings:,} listings")
    arguments = [scene.servers, group, source, target, BACKBONE, str(scene.bundle)]
    worker = start([sys.executable, str(PLAIN), *arguments], environment={})
    try:
        run = follow(worker, servers=scene.servers, group=group, topic=source, events=listings)
    finally:
        worker.kill()  # it knows no better end
        worker.wait()
    ours, plain = (
        {answer["listing_id"]: answer for answer in given(scene.servers, prefix)}
        for prefix in (PREFIX, PLAIN_PREFIX)
    )
    check_equal(ours, plain)
    return run
