"""The suggest worker killed by SIGKILL again and again under load, and what readers then see."""

import random
import time
from collections import Counter
from dataclasses import dataclass

from confluent_kafka import Consumer

from benchmarks.peers.measure import LOOK_EVERY_S, committed, stop
from benchmarks.peers.runs import say
from benchmarks.suggesting.first_answer import first_answer_s
from benchmarks.suggesting.given import given
from benchmarks.suggesting.scene import Scene, suggest_group
from schemas.topics import LISTING_ENRICHED

PREFIX = "kills."
BACKLOG = 500  # listings that wait at every start: more than a life is long enough for
LIVES = 3.0  # the longest life, in times of a start: a third of the strikes hit a start
SETTINGS = {
    "instance_id": "killed",  # a restart fences its predecessor at once
    "session_timeout_ms": "6000",
}


@dataclass(frozen=True)
class Killed:
    """What came of it: for a reader of committed records nothing may be lost or doubled.

    Attributes:
        kills: how often the worker was killed.
        working: how many of its lives had committed an answer before they ended.
        listings: published in all.
        lost: listings without an answer.
        doubled: answers too many.
    """

    kills: int
    working: int
    listings: int
    lost: int
    doubled: int


def kill(scene: Scene, kills: int, *, seed: int) -> Killed:
    """Kill a worker at random moments while listings wait, then let one answer the rest.

    Raises:
        SystemExit: a worker ended by itself.
    """
    longest_s = LIVES * first_answer_s(scene, f"{PREFIX}first.")
    scene.make_topics(PREFIX)
    observer = Consumer({"bootstrap.servers": scene.servers, "group.id": suggest_group(PREFIX)})
    topic = PREFIX + LISTING_ENRICHED
    moments = random.Random(seed)
    published = working = 0
    for number in range(kills):
        before = max(0, committed(observer, topic))
        scene.publish(PREFIX, published, before + BACKLOG)
        published = max(published, before + BACKLOG)
        worker = scene.start_worker("suggest", PREFIX, **SETTINGS)
        time.sleep(moments.uniform(0, longest_s))
        if worker.poll() is not None:
            raise SystemExit(f"the worker ended by itself with {worker.returncode}")
        worker.kill()
        worker.wait()
        working += committed(observer, topic) > before
        say(f"Killed {number + 1} times, {before:,} of {published:,} listings answered before")
    worker = scene.start_worker("suggest", PREFIX, **SETTINGS)
    try:
        while committed(observer, topic) < published:
            if worker.poll() is not None:
                raise SystemExit(f"the worker ended by itself with {worker.returncode}")
            time.sleep(LOOK_EVERY_S)
    finally:
        stop(worker)
        observer.close()
    answers = Counter(answer["listing_id"] for answer in given(scene.servers, PREFIX))
    lost = [name for name in (f"l{number}" for number in range(published)) if name not in answers]
    return Killed(kills, working, published, len(lost), answers.total() - len(answers))
