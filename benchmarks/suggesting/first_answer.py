"""Seconds from the start of the suggest worker to its first answer, where listings wait."""

import time

from benchmarks.peers.answers import ANSWER_WITHIN_S, committed_reader
from benchmarks.peers.measure import stop
from benchmarks.suggesting.scene import Scene
from schemas.topics import PRICE_SUGGESTED, REUPLOAD_REQUESTED

WAITING = 100  # listings, more than one batch


def first_answer_s(scene: Scene, prefix: str) -> float:
    """Start a worker under a prefix that nobody has used, and time it.

    Raises:
        SystemExit: it ended, or gave no answer.
    """
    scene.make_topics(prefix)
    scene.publish(prefix, 0, WAITING)
    topics = [prefix + topic for topic in (PRICE_SUGGESTED, REUPLOAD_REQUESTED)]
    reader = committed_reader(scene.servers, *topics)
    started = time.perf_counter()
    worker = scene.start_worker("suggest", prefix)
    try:
        while (seconds := time.perf_counter() - started) < ANSWER_WITHIN_S:
            message = reader.poll(0.01)
            if message is not None and message.error() is None:
                return seconds
            if worker.poll() is not None:
                raise SystemExit(f"the worker ended with {worker.returncode}")
        raise SystemExit(f"no answer within {ANSWER_WITHIN_S} s")
    finally:
        stop(worker)
        reader.close()
