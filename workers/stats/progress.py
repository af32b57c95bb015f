"""How far the restore of a partition is: in the log every few seconds, and exported."""

import time
from collections.abc import Callable

import structlog

from workers.runtime.metrics import StatsMetrics

log = structlog.get_logger(__name__)

_LOG_INTERVAL_S = 5.0


class RestoreProgress:
    """Tells of one way from `start` to `end`, in offsets of a changelog or in bytes.

    Args:
        metrics: where the share is exported.
        partition: that is restored.
        source: what is read: "changelog" or "checkpoint".
        start: where it begins.
        end: where it is done.
        clock: seconds that only go up.
    """

    def __init__(
        self,
        metrics: StatsMetrics,
        *,
        partition: int,
        source: str,
        start: int,
        end: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._partition, self._source = partition, source
        self._start, self._end = start, end
        self._place = start
        self._clock = clock
        self._began = self._logged = clock()
        self._share = metrics.restore_share.labels(partition, source)
        self._left = metrics.restore_left.labels(partition, source)
        self.at(start)

    def moved(self, size: int) -> None:
        """Say that so much more was read."""
        self.at(self._place + size)

    def at(self, place: int) -> None:
        """Say how far it is."""
        self._place = place
        way = self._end - self._start
        share = min(1.0, (place - self._start) / way) if way > 0 else 1.0
        self._share.set(share)
        self._left.set(max(0, self._end - place))
        now = self._clock()
        if now - self._logged >= _LOG_INTERVAL_S:
            self._logged = now
            took = now - self._began
            log.info(
                "restoring",
                partition=self._partition,
                source=self._source,
                share=round(share, 3),
                seconds_left=round(took / share - took) if share else None,
            )

    def done(self) -> None:
        """Say that all is read."""
        self.at(self._end)
