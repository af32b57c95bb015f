"""Whether a worker lives, whether it is ready, and its metrics, over HTTP.

Liveness looks at the poll loop alone and never asks the brokers: a worker that waits for them is
well, and a restart would not bring them back.
"""

import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from workers.errors import ConfigurationError

_TEXT = "text/plain; charset=utf-8"


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
    ) -> None:
        self._heartbeat = heartbeat
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

    def _answer(self, path: str, accept: str) -> tuple[int, str, bytes]:
        if path == "/healthz":
            age = self._heartbeat.age()
            if age <= self._limit:
                return 200, _TEXT, b"alive\n"
            return 503, _TEXT, f"the poll loop has not come round for {age:.0f} s\n".encode()
        if path == "/readyz":
            if self._ready.is_set():
                return 200, _TEXT, b"ready\n"
            return 503, _TEXT, b"no partitions yet, or their state is being restored\n"
        if path == "/metrics":
            encode, content_type = choose_encoder(accept)
            return 200, content_type, encode(self._registry)
        return 404, _TEXT, b"there are /healthz, /readyz and /metrics\n"


def _listen(
    host: str, port: int, answer: Callable[[str, str], tuple[int, str, bytes]]
) -> ThreadingTCPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # a client that says nothing does not hold a thread for ever

        def do_GET(self) -> None:
            status, content_type, body = answer(
                urlsplit(self.path).path, self.headers.get("Accept", "")
            )
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

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
