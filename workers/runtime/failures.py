"""Transactions that fail one after another: a growing pause between them, and an end."""

import time
from collections.abc import Callable

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0


class FailureStreak:
    """Counts failures in a row.

    Args:
        give_up_after: seconds of nothing but failures after which the worker ends.
        clock: a monotonic clock in seconds.
    """

    def __init__(
        self, *, give_up_after: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._give_up_after = give_up_after
        self._clock = clock
        self._since = 0.0
        self._pause = 0.0  # the last one; 0 where the last try was a success
        self._retry_at = float("-inf")

    def failed(self, error: Exception) -> None:
        """Note a failure; raises `error` when that has gone on for too long.

        After a time without any attempts as long as that, a failure is the first of a new row.
        """
        now = self._clock()
        if not self._pause or now - self._retry_at > self._give_up_after:
            self._since, self._pause = now, 0.0
        elif now - self._since > self._give_up_after:
            raise error
        self._pause = min(_LONGEST_PAUSE_S, 2 * self._pause or _FIRST_PAUSE_S)
        self._retry_at = now + self._pause

    def succeeded(self) -> None:
        """Note a success: the row is over."""
        self._pause = 0.0

    def pause(self) -> float:
        """Return how many seconds to wait before the next try; 0 for none."""
        return max(0.0, self._retry_at - self._clock()) if self._pause else 0.0
