"""Listings a second: the bare forward pass, our worker over Kafka and HTTP, the plain worker."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.measure import Run, follow, start, stop
from benchmarks.peers.runs import say
from benchmarks.suggesting.given import check_equal, given
from benchmarks.suggesting.scene import BACKBONE, Scene, suggest_group
from schemas.topics import LISTING_ENRICHED, PRICE_SUGGESTED
from workers.runtime.settings import Settings

PLAIN = Path(__file__).with_name("plain_worker.py")
SECONDS_OF_FORWARD = 5.0
# More than the worker prepares ahead: its buffer is full where the measured stretch begins, and
# where it ends.
AHEAD = 320
PLAIN_WARM_UP = 5  # messages; torch's first ones are slower


@dataclass(frozen=True)
class Forward:
    """Photos a second of the network alone, and photos per second of processor time."""

    per_s: float
    per_cpu_s: float


def run_forward(scene: Scene) -> Forward:
    """Run the network alone on photos decoded before, in batches of the worker's size."""
    batch = Settings().suggest_batch_max_records
    prepared = [scene.pricer.prepare(photo.read_bytes()) for photo in scene.photos[:batch]]
    scene.pricer.features(prepared)
    done, started, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < SECONDS_OF_FORWARD:
        scene.pricer.features(prepared)
        done += len(prepared)
    return Forward(done / (time.perf_counter() - started), done / (time.process_time() - cpu))


def run_ours(scene: Scene, prefix: str, listings: int) -> Run:
    """Let our worker answer listings that wait for it, with AHEAD more before and after them."""
    scene.make_topics(prefix)
    scene.publish(prefix, 0, listings + 2 * AHEAD)
    say(f"Running secondsight over {listings:,} listings")
    worker = scene.start_worker("suggest", prefix)
    try:
        return follow(
            worker,
            servers=scene.servers,
            group=suggest_group(prefix),
            topic=prefix + LISTING_ENRICHED,
            events=listings + AHEAD,
            warm_up=AHEAD,
        )
    finally:
        stop(worker)


def run_plain(scene: Scene, prefix: str, listings: int) -> Run:
    """Let the plain worker answer the first so many of the listings that ours has answered.

    Args:
        scene: the surroundings.
        prefix: under which ours has answered.
        listings: how many.

    Raises:
        SystemExit: its answers are others than ours.
    """
    plain_prefix = f"plain-{prefix}"
    scene.make_topics(plain_prefix)
    group, source = f"{plain_prefix}worker", prefix + LISTING_ENRICHED
    say(f"Running the plain worker over {listings:,} listings")
    topics = [source, plain_prefix + PRICE_SUGGESTED]
    command = [sys.executable, str(PLAIN), scene.servers, group, *topics, BACKBONE]
    worker = start([*command, str(scene.bundle)], environment={})
    try:
        run = follow(
            worker,
            servers=scene.servers,
            group=group,
            topic=source,
            events=listings,
            warm_up=PLAIN_WARM_UP,
        )
    finally:
        worker.kill()  # it knows no better end
        worker.wait()
    ours, plain = (
        {answer["listing_id"]: answer for answer in given(scene.servers, each)}
        for each in (prefix, plain_prefix)
    )
    check_equal(ours, plain)
    return run
