"""Whether a worker lives, whether it is ready, and its metrics, over HTTP.

Liveness looks at the poll loop alone and never asks the brokers: a worker that waits for them is
well, and a restart would not bring them back.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from workers.errors import ConfigurationError

_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status, content type, body, and headers besides."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Page = Callable[[SplitResult], Answer]
"""Answers a GET of a path; called from several threads, and must not raise."""


class Heartbeat:
    """What the poll loop touches once a turn; it starts out fresh.

    `clock` gives seconds that only go up, as `time.monotonic` does.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """Note that the loop came round."""
        self._last = self._clock()

    def age(self) -> float:
        """Give the seconds since the last beat."""
        return self._clock() - self._last


class HealthServer:
    """Answers `/healthz`, `/readyz` and `/metrics` from a thread of its own, between with and end.

    Args:
        heartbeat: touched by the poll loop.
        heartbeat_limit: seconds; `/healthz` is 503 when the heartbeat is older.
        registry: what `/metrics` shows.
        host: the address to listen on, IPv4, IPv6 or a name.
        port: 0 takes any free one; `port` of the object says which.
        pages: what else it answers, by what the path begins with.

    Raises ConfigurationError when the address cannot be listened on.
    """

    def __init__(
        self,
        heartbeat: Heartbeat,
        *,
        heartbeat_limit: float,
        registry: CollectorRegistry,
        host: str,
        port: int,
        pages: Mapping[str, Page] | None = None,
    ) -> None:
        self._heartbeat = heartbeat
        self._pages = pages or {}
        self._limit = heartbeat_limit
        self._registry = registry
        self._ready = threading.Event()
        try:
            self._server = _listen(host, port, self._answer)
        except OSError as error:
            raise ConfigurationError(
                f"health server cannot listen on {host} port {port}: {error.strerror or error}; "
                "choose another with SECONDSIGHT_HEALTH_PORT"
            ) from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="health"
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def ready(self, ready: bool) -> None:
        """Say whether all assigned partitions are restored; not ready at first."""
        if ready:
            self._ready.set()
        else:
            self._ready.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, target: SplitResult, accept: str) -> Answer:
        path = target.path
        if path == "/healthz":
            age = self._heartbeat.age()
            if age <= self._limit:
                return Answer(200, _TEXT, b"alive\n")
            return Answer(
                503, _TEXT, f"the poll loop has not come round for {age:.0f} s\n".encode()
            )
        if path == "/readyz":
            if self._ready.is_set():
                return Answer(200, _TEXT, b"ready\n")
            return Answer(503, _TEXT, b"no partitions yet, or their state is being restored\n")
        if path == "/metrics":
            encode, content_type = choose_encoder(accept)
            return Answer(200, content_type, encode(self._registry))
        for prefix, page in self._pages.items():
            if path.startswith(prefix):
                return page(target)
        paths = ", ".join(("/healthz", "/readyz", "/metrics", *self._pages))
        return Answer(404, _TEXT, f"there are {paths}\n".encode())


def _listen(
    host: str, port: int, answer: Callable[[SplitResult, str], Answer]
) -> ThreadingTCPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # a client that says nothing does not hold a thread for ever

        def do_GET(self) -> None:
            try:
                target = urlsplit(self.path)
            except ValueError:  # such as http://[
                self.send_error(400)
                return
            response = answer(target, self.headers.get("Accept", ""))
            self.send_response(response.status)
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(len(response.body)))
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)

        do_HEAD = do_GET  # noqa: N815 - the server looks it up by this name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing: probes come every few seconds."""

    # http.server's own class asks the name service for the host's name, which may take long.
    class Server(ThreadingTCPServer):
        allow_reuse_address = True
        address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        daemon_threads = True  # a slow client does not hold up the shutdown

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: the client went away."""

    return Server((host, port), Handler)
