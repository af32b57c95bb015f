"""Spans as a collector receives them: OTLP over HTTP on loopback."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from workers.runtime.processing import Record
from workers.runtime.tracing import exported_traces

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(HTTPServer):
    """Keeps the requests for traces that it is sent."""

    received: list[ExportTraceServiceRequest]


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/v1/traces"
        self.server.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    server = Collector(("127.0.0.1", 0), Handler)
    server.received = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv(
        "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}"
    )
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def record(offset: int, *headers: tuple[str, bytes | None]) -> Record:
    return Record("listing.enriched", 3, offset, 1_000, b"seller", b"{}", headers)


def test_a_span_for_each_record_that_is_traced_and_sampled(collector: Collector) -> None:
    before = time.time_ns()
    with exported_traces("suggest") as traces:
        traces.committed(
            [
                record(7, ("ce_id", b"a"), ("traceparent", f"00-{TRACE}-{PARENT}-01".encode())),
                record(8, ("ce_id", b"b")),
                record(9, ("traceparent", f"00-{TRACE}-{PARENT}-00".encode())),  # not sampled
            ],
            seconds=2.5,
        )
    after = time.time_ns()

    (resource,) = [spans for request in collector.received for spans in request.resource_spans]
    named = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert named["service.name"] == "secondsight-suggest"
    (span,) = [span for scope in resource.scope_spans for span in scope.spans]
    assert span.name == "secondsight suggest"
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert before <= span.end_time_unix_nano <= after
    assert span.end_time_unix_nano - span.start_time_unix_nano == 2_500_000_000
    told = {each.key: each.value for each in span.attributes}
    assert told["messaging.destination.name"].string_value == "listing.enriched"
    assert told["messaging.destination.partition.id"].string_value == "3"
    assert told["messaging.kafka.offset"].int_value == 7


@pytest.mark.parametrize(
    "value", [b"", b"nonsense", b"\xff\xfe", b"00-0-0-01", b"00-" + b"0" * 32 + b"-" + b"0" * 16]
)
def test_a_header_that_is_no_trace_does_no_harm(collector: Collector, value: bytes) -> None:
    with exported_traces("stats") as traces:
        traces.committed([record(1, ("traceparent", value))], seconds=0.1)

    spans = [
        span
        for request in collector.received
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert all(not span.parent_span_id for span in spans)
