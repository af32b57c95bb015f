"""The system's look-up of host names, which may hang without holding anything else up."""

import asyncio
import socket
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

from workers.suggest.threads import AbandonableThreads

_AT_ONCE = 64  # a stuck look-up costs a thread for as long as the system's own patience lasts


class SystemNames(AbstractResolver):
    """Asks `getaddrinfo`, with a bound on the look-ups under way; to be made in an event loop.

    Args:
        timeout_s: seconds that one look-up may take, waiting for its turn among them.
    """

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._threads = AbandonableThreads("names", _AT_ONCE)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host.

        Raises:
            OSError: the name has no address, or was not looked up in time.
        """
        ask = partial(
            socket.getaddrinfo,
            host,
            port,
            family=family,
            type=socket.SOCK_STREAM,
            flags=socket.AI_ADDRCONFIG,
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self._threads.run(ask)
        except TimeoutError:
            raise socket.gaierror(
                socket.EAI_AGAIN, f"the name was not looked up within {self._timeout_s} s"
            ) from None
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Leave; look-ups that are under way are abandoned."""
