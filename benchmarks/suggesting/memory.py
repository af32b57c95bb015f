"""Resident memory of the suggest worker with its children, as listings go by."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import psutil

from benchmarks.peers.measure import follow, stop
from benchmarks.peers.runs import say
from benchmarks.suggesting.scene import Scene, suggest_group
from schemas.topics import LISTING_ENRICHED

PREFIX = "memory."
LOOK_EVERY_S = 0.25
MB = 1e6


@dataclass
class Memory:
    """Samples of (listings answered, bytes resident); shared pages count in every process."""

    worker: psutil.Process
    samples: list[tuple[int, int]] = field(default_factory=list)
    _next: float = 0.0

    def look(self, done: int) -> None:
        """Take a sample unless the last one is young."""
        if time.monotonic() >= self._next:
            self.samples.append((max(0, done), sum(self._resident())))
            self._next = time.monotonic() + LOOK_EVERY_S

    def _resident(self) -> Iterator[int]:
        for process in [self.worker, *self.worker.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):  # a child may end meanwhile
                yield process.memory_info().rss

    @property
    def peak_mb(self) -> float:
        """The largest sample."""
        return max(size for _, size in self.samples) / MB

    @property
    def mb_per_1000_listings(self) -> float:
        """The slope of a line through the samples after the first third of the listings."""
        done, sizes = np.array(self.samples, dtype=np.float64).T
        late = done >= done[-1] / 3
        return float(np.polyfit(done[late] / 1000, sizes[late] / MB, 1)[0])


def memory(scene: Scene, listings: int) -> Memory:
    """Watch a worker's memory while it answers so many listings."""
    scene.make_topics(PREFIX)
    scene.publish(PREFIX, 0, listings)
    say(f"Watching the memory over {listings:,} listings")
    worker = scene.start_worker("suggest", PREFIX)
    found = Memory(psutil.Process(worker.pid))
    try:
        follow(
            worker,
            servers=scene.servers,
            group=suggest_group(PREFIX),
            topic=PREFIX + LISTING_ENRICHED,
            events=listings,
            seen=found.look,
        )
    finally:
        stop(worker)
    return found
