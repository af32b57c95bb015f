"""How long a batch waits for company before it is taken."""

import time
from collections.abc import Callable

AT_HAND_S = 0.005
"""What a poll brings within this time was there: at 20,000 records a second it would be 100."""

FILL_S = 0.5
"""A batch of a worker that is behind is filled for so long; 50,000 records take 0.3 s."""


class BatchWindow:
    """The time of one batch: a short wait, or, for a worker that is behind, until it is full.

    What a batch costs whatever its size, such as a histogram of every category that sold, is then
    paid for by many records.

    Args:
        wait: seconds from the first record's arrival that a worker that keeps up gives it.
        clock: a monotonic clock in seconds.
    """

    def __init__(self, *, wait: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._wait = wait
        self._clock = clock
        self._since: float | None = None
        self._behind = False

    def open(self) -> None:
        """Begin, unless it has begun already: records are there."""
        if self._since is None:
            self._since = self._clock()

    def close(self) -> None:
        """End: a batch is taken."""
        self._since = None

    def polled(self, patience: float, *, full: bool) -> None:
        """Note a poll that might wait so many seconds, and whether it brought all it asked for."""
        # Where a poll waits longer, as many may just have come.
        self._behind = full and patience <= AT_HAND_S

    def seconds_left(self) -> float:
        """Return how long the worker may wait for more records."""
        return max(0.0, self._wait - self._age())

    def over(self) -> bool:
        """Say whether a batch is to be taken though it is not full."""
        return self._age() >= (max(self._wait, FILL_S) if self._behind else self._wait)

    def _age(self) -> float:
        return 0.0 if self._since is None else self._clock() - self._since
