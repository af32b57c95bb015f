"""Seconds from `listing.created` to the answer, through the stats and the suggest worker."""

import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from confluent_kafka import Producer

from benchmarks.peers.answers import Answers, committed_reader
from benchmarks.peers.measure import stop
from benchmarks.peers.runs import say
from benchmarks.suggesting.scene import Scene
from schemas.topics import PRICE_SUGGESTED, REUPLOAD_REQUESTED

PREFIX = "latency."
WARM_UP = 64  # listings before the measured ones: the first batches are slower


@dataclass(frozen=True)
class Latency:
    """Of listings that came at a rate: how many a second, and percentiles in seconds."""

    listings: int
    per_s: float
    p50_s: float
    p99_s: float


def latency(scene: Scene, *, per_s: float, seconds: float, seed: int) -> Latency:
    """Send listings at random moments, whether answers come or not, and time their answers.

    The moments are those of a Poisson process, drawn before. The time of a listing runs from the
    moment planned for it, so that a sender who is late makes no answer look early, to its
    arrival at a reader of committed records.

    Args:
        scene: the surroundings.
        per_s: listings a second, on average.
        seconds: how long.
        seed: of the moments.

    Raises:
        SystemExit: a worker ended, or listings are not answered.
    """
    moments = np.cumsum(np.random.default_rng(seed).exponential(1 / per_s, round(per_s * seconds)))
    scene.make_topics(PREFIX)
    producer = Producer({"bootstrap.servers": scene.servers, "linger.ms": 0})
    answers, ended = Answers(), threading.Event()
    topics = [PREFIX + topic for topic in (PRICE_SUGGESTED, REUPLOAD_REQUESTED)]
    consumer = committed_reader(scene.servers, *topics)
    reader = threading.Thread(target=answers.follow, args=(consumer, ended))
    reader.start()
    workers = [scene.start_worker(kind, PREFIX) for kind in ("stats", "suggest")]
    try:
        for number in range(WARM_UP):
            _send(scene, producer, answers, f"warm-{number}", number, time.perf_counter())
        answers.await_all(lambda: _check(workers))
        say(f"Sending {len(moments):,} listings at {per_s:.1f} a second")
        started = time.perf_counter()
        for number, moment in enumerate(moments.tolist()):
            time.sleep(max(0.0, started + moment - time.perf_counter()))
            _send(scene, producer, answers, f"timed-{number}", number, started + moment)
        sent_per_s = len(moments) / (time.perf_counter() - started)
        answers.await_all(lambda: _check(workers))
        producer.flush()
    finally:
        for worker in workers:
            stop(worker)
        ended.set()
        reader.join()
        consumer.close()
    p50, p99 = (answers.percentile_ms(share, "timed") / 1000 for share in (0.5, 0.99))
    return Latency(len(moments), sent_per_s, p50, p99)


def _send(
    scene: Scene, producer: Producer, answers: Answers, name: str, number: int, planned: float
) -> None:
    answers.sent[name] = planned
    scene.send_created(producer, PREFIX, name, number)


def _check(workers: Sequence["subprocess.Popen[bytes]"]) -> None:
    for worker in workers:
        if worker.poll() is not None:
            raise SystemExit(f"a worker ended with {worker.returncode}")
