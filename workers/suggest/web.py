"""Photos over HTTP from hosts on the allow-list, wherever their names and redirects lead."""

import errno
import socket
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from workers.suggest.addresses import may_connect
from workers.suggest.allow_list import AllowList
from workers.suggest.errors import FetchFailedError, FetchRefusedError
from workers.suggest.names import SystemNames

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TEMPORARY = frozenset({408, 425, 429})  # and every 5xx
_CHUNK_BYTES = 64 * 1024
_HEADERS = {
    "Accept": "image/*",
    "Accept-Encoding": "identity",  # photos do not shrink, and what cannot unpack cannot explode
    "User-Agent": "secondsight",
}


class WebPhotos:
    """An HTTP client for photos; to be entered and used within one event loop.

    Redirects are followed one by one, each checked like the first URL. Every address is checked
    when its socket is made, after the last resolution of the name. Proxies of the environment
    and cookies are not used. How long a fetch may take in all is up to the caller.

    Args:
        allowed: the hosts and ports that may be asked.
        allow_private: whether they may lie in private networks or on this machine.
        max_bytes: the largest body that is read.
        max_redirects: how many redirects one fetch may take.
        connect_timeout_s: seconds that looking a name up may take, and that connecting to one
            address may take.
        resolver: turns names into addresses; the system's by default.
    """

    def __init__(
        self,
        allowed: AllowList,
        *,
        allow_private: bool,
        max_bytes: int,
        max_redirects: int = 3,
        connect_timeout_s: float = 3.0,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._allowed = allowed
        self._allow_private = allow_private
        self._max_bytes = max_bytes
        self._max_redirects = max_redirects
        self._connect_timeout_s = connect_timeout_s
        self._resolver = resolver

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # the caller bounds how many fetches run at once
                resolver=self._resolver or SystemNames(timeout_s=self._connect_timeout_s),
                socket_factory=self._socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout_s),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, uri: str) -> bytes:
        """Return the body that a URL leads to.

        Raises:
            FetchRefusedError: it may not be asked, or answers that it is not there, or with
                too much; another try gives the same.
            FetchFailedError: the network or the server failed; another try may pass.
        """
        url = self._allowed.url(uri)
        try:
            for _ in range(self._max_redirects + 1):
                answer = await self._ask(url)
                if isinstance(answer, bytes):
                    return answer
                url = answer
        except ValueError as error:  # aiohttp.InvalidURL, and host names that IDNA cannot encode
            raise FetchRefusedError(f"the URL is malformed: {error}") from error
        except aiohttp.ClientConnectorError as error:
            if error.os_error.errno == errno.EACCES:
                raise FetchRefusedError(str(error)) from error
            raise FetchFailedError(str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise FetchFailedError(str(error) or type(error).__name__) from error
        raise FetchRefusedError(f"more than {self._max_redirects} redirects")

    async def _ask(self, url: URL) -> bytes | URL:
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status in _REDIRECTS:
                return self._allowed.url(response.headers.get("Location", ""), base=url)
            if response.status >= 500 or response.status in _TEMPORARY:
                raise FetchFailedError(f"the server answered {response.status}")
            if response.status != 200:
                raise FetchRefusedError(f"the server answered {response.status}")
            encoding = response.headers.get("Content-Encoding", "identity")
            if encoding.lower() != "identity":
                raise FetchRefusedError(f"the body came encoded as {encoding!r}")
            return await self._body(response)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        if (response.content_length or 0) <= self._max_bytes:
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                body += chunk
                if len(body) > self._max_bytes:
                    break
            else:
                return bytes(body)
        response.close()  # do not read the rest just to keep the connection
        raise FetchRefusedError(f"the body is larger than {self._max_bytes} bytes")

    def _socket(self, address: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
        family, kind, protocol, _, target = address
        if not may_connect(target[0], allow_private=self._allow_private):
            raise PermissionError(errno.EACCES, "photos may not be fetched from this address")
        return socket.socket(family=family, type=kind, proto=protocol)
