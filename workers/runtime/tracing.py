"""Traces carried on: a span for each record whose sender gave it a W3C `traceparent`.

Off by default. OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`
and so on) say where spans go and which are kept; the sender's decision to sample is respected.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from workers.errors import ConfigurationError
from workers.runtime.processing import Record

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_HEADERS = ("traceparent", "tracestate")


class Traces:
    """Writes spans of records in one worker.

    Args:
        tracer: of OpenTelemetry.
        worker: "stats" or "suggest": the name of the spans.
    """

    def __init__(self, tracer: "Tracer", *, worker: str) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = tracer
        self._name = f"secondsight {worker}"
        self._kind = SpanKind.CONSUMER
        self._propagator = TraceContextTextMapPropagator()

    def committed(self, records: Sequence[Record], *, seconds: float) -> None:
        """Write a span for each traced record of a batch that was committed just now.

        All records of a batch are at work for as long as the batch: `seconds`.
        """
        end = time.time_ns()
        start = end - int(seconds * 1e9)
        for record in records:
            carrier = {
                name: value.decode(errors="replace")
                for name, value in record.headers
                if name in _HEADERS and value is not None
            }
            if not carrier:
                continue
            # Names are those of OpenTelemetry's conventions for messaging.
            span = self._tracer.start_span(
                self._name,
                context=self._propagator.extract(carrier),
                kind=self._kind,
                start_time=start,
                attributes={
                    "messaging.system": "kafka",
                    "messaging.operation.name": "process",
                    "messaging.destination.name": record.topic,
                    "messaging.destination.partition.id": str(record.partition),
                    "messaging.kafka.offset": record.offset,
                    "messaging.batch.message_count": len(records),
                },
            )
            span.end(end)


@contextmanager
def exported_traces(worker: str) -> Iterator[Traces]:
    """Give traces that are exported by OTLP over HTTP; the last ones are when the block ends.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError(
            f"SECONDSIGHT_TRACES needs a package that is not installed: {error}; "
            "pip install 'secondsight[otel]'"
        ) from error
    resource = Resource.create({"service.name": f"secondsight-{worker}"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield Traces(provider.get_tracer("secondsight"), worker=worker)
    finally:
        provider.shutdown()
