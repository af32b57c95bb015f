import http.client
import socket
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from workers.errors import ConfigurationError
from workers.runtime.health import Answer, HealthServer, Heartbeat


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def heartbeat(clock: Clock) -> Heartbeat:
    return Heartbeat(clock=clock)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def server(heartbeat: Heartbeat, registry: CollectorRegistry) -> Iterator[HealthServer]:
    with HealthServer(
        heartbeat, heartbeat_limit=10, registry=registry, host="127.0.0.1", port=0
    ) as running:
        yield running


def ask(server: HealthServer, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_alive_while_the_heartbeat_is_young(
    server: HealthServer, heartbeat: Heartbeat, clock: Clock
) -> None:
    clock.now += 10
    assert ask(server, "/healthz")[0] == 200
    clock.now += 0.5
    status, text = ask(server, "/healthz")
    assert status == 503
    assert "10 s" in text
    heartbeat.beat()
    assert ask(server, "/healthz")[0] == 200


def test_ready_only_after_it_was_said(server: HealthServer) -> None:
    assert ask(server, "/readyz")[0] == 503
    server.ready(True)
    assert ask(server, "/readyz?verbose")[0] == 200
    server.ready(False)
    assert ask(server, "/readyz")[0] == 503


def test_metrics_are_those_of_the_registry(
    server: HealthServer, registry: CollectorRegistry
) -> None:
    Counter("parcels", "Parcels seen", registry=registry).inc(3)
    status, text = ask(server, "/metrics")
    assert status == 200
    assert "parcels_total 3.0" in text


def test_other_paths_are_not_found_and_head_has_no_body(server: HealthServer) -> None:
    assert ask(server, "/etc/passwd")[0] == 404
    assert ask(server, "/healthz", "HEAD") == (200, "")
    assert ask(server, "/healthz", "POST")[0] == 501


def test_pages_besides_are_asked_with_the_whole_target(
    heartbeat: Heartbeat, registry: CollectorRegistry
) -> None:
    with HealthServer(
        heartbeat,
        heartbeat_limit=10,
        registry=registry,
        host="127.0.0.1",
        port=0,
        pages={
            "/echo/": lambda target: Answer(
                307, "text/plain", f"{target.path} {target.query}".encode(), {"Location": "/there"}
            )
        },
    ) as server:
        assert ask(server, "/echo/a%20b?c=d") == (307, "/echo/a%20b c=d")
        assert ask(server, "/echo/a", "HEAD") == (307, "")
        status, text = ask(server, "/else")
        assert (status, "/echo/" in text) == (404, True)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(b"GET http://[ HTTP/1.0\r\n\r\n")
            assert b" 400 " in client.recv(100).splitlines()[0]
        assert ask(server, "/healthz")[0] == 200


def test_a_busy_port_is_told_and_the_port_is_free_afterwards(
    heartbeat: Heartbeat, registry: CollectorRegistry
) -> None:
    def serve(port: int) -> HealthServer:
        return HealthServer(
            heartbeat, heartbeat_limit=10, registry=registry, host="127.0.0.1", port=port
        )

    with serve(0) as running:
        taken = running.port
        with pytest.raises(ConfigurationError, match=f"port {taken}: .*HEALTH_PORT"):
            serve(taken)
    with serve(taken) as again:
        assert ask(again, "/healthz")[0] == 200
