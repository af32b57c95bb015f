"""How many photos are under way at once, in all and by host."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Slots:
    """Semaphores for all and for each host; who waits for a host takes no room from others.

    Args:
        total: how many may hold a slot at once.
        of_a_host: how many of them may be of one host.
    """

    def __init__(self, total: int, *, of_a_host: int) -> None:
        self._all = asyncio.Semaphore(total)
        self._of_a_host = of_a_host
        # A host that nobody asks is forgotten: listings may name any number of them.
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def taken(self, host: str) -> AsyncIterator[None]:
        """Hold a slot; waits for the host's first, then for one of all."""
        of_host = self._hosts.setdefault(host, asyncio.Semaphore(self._of_a_host))
        async with of_host, self._all:
            yield
