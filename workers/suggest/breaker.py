"""Hosts that keep failing are left alone for a while, so that they hold nobody else up."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from workers.suggest.errors import FetchFailedError

_REMEMBERED = 1_000  # hosts; a wildcard on the allow-list lets listings name any number


@dataclass(slots=True)
class _Failures:
    in_a_row: int = 0
    last: float = 0.0


class Breaker:
    """Counts failures of hosts in a row; after some, the host rests.

    After the rest it is asked again, and its next failure starts the next rest.

    Args:
        failures: how many in a row bring the rest.
        rest_s: seconds from the last failure to the end of the rest.
        clock: a monotonic clock in seconds.
    """

    def __init__(
        self,
        *,
        failures: int = 8,
        rest_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._rest_s = rest_s
        self._clock = clock
        self._hosts: OrderedDict[str, _Failures] = OrderedDict()

    def check(self, host: str) -> None:
        """Return where a host may be asked.

        Raises:
            FetchFailedError: it rests.
        """
        known = self._hosts.get(host)
        if (
            known is not None
            and known.in_a_row >= self._limit
            and self._clock() - known.last < self._rest_s
        ):
            raise FetchFailedError(f"{host} failed {known.in_a_row} times in a row and rests")

    def answered(self, host: str) -> None:
        """Note that a host answered, whatever it said."""
        self._hosts.pop(host, None)

    def failed(self, host: str) -> None:
        """Note that a host did not answer."""
        known = self._hosts.setdefault(host, _Failures())
        known.in_a_row += 1
        known.last = self._clock()
        self._hosts.move_to_end(host)
        if len(self._hosts) > _REMEMBERED:
            self._hosts.popitem(last=False)
