"""Which URLs photos may be fetched from, judged before any name is resolved."""

import re
from collections.abc import Collection

from yarl import URL

from workers.suggest.errors import FetchRefusedError

_SCHEMES = ("http", "https")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f:.]+", re.IGNORECASE)


class AllowList:
    """Hosts and ports that `http(s)` photos may come from; nothing else may.

    Args:
        hosts: names such as `photos.example.com`; `*.example.com` stands for every name below
            `example.com` (not for itself). Addresses may stand here too.
        ports: the ports that may be asked.
    """

    def __init__(self, hosts: Collection[str], *, ports: Collection[int] = (80, 443)) -> None:
        names = [_bare(host) for host in hosts]
        self._exact = frozenset(name for name in names if not name.startswith("*."))
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._ports = frozenset(ports)

    def url(self, text: str, *, base: URL | None = None) -> URL:
        """Parse and check a URL, or a redirect's target relative to `base`.

        The result is what the HTTP client is given, so nothing parses the text a second time.

        Raises:
            FetchRefusedError: the URL is malformed or outside the list; the message says how.
        """
        # Parsers disagree on these: some drop them, some take a backslash for a slash.
        if any(character <= " " or character in "\\\x7f" for character in text):
            raise FetchRefusedError("the URL has spaces, control characters or backslashes")
        try:
            url = URL(text) if base is None else base.join(URL(text))
            scheme, host, port = url.scheme, url.raw_host, url.port
        except ValueError as error:
            raise FetchRefusedError(f"the URL is malformed: {error}") from error
        if scheme not in _SCHEMES:
            raise FetchRefusedError(f"scheme {scheme!r} is not fetched")
        if base is not None and base.scheme == "https" and scheme == "http":
            raise FetchRefusedError("a redirect leads from https to http")
        if "@" in url.raw_authority:
            raise FetchRefusedError("the URL carries a user name or password")
        if not host or not _HOST.fullmatch(host) or not self._has(_bare(host)):
            raise FetchRefusedError(f"host {host!r} is not on the allow-list")
        if port not in self._ports:
            raise FetchRefusedError(f"port {port} is not on the allow-list")
        return url

    def _has(self, name: str) -> bool:
        return name in self._exact or name.endswith(self._suffixes)


def _bare(host: str) -> str:
    return host.strip().lower().removesuffix(".")
