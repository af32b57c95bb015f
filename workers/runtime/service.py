"""A worker as a process: clients, signals, health and metrics around its poll loop."""

import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import structlog
from confluent_kafka import Consumer
from prometheus_client import CollectorRegistry

from workers.errors import ConfigurationError
from workers.runtime.clients import ClientOptions
from workers.runtime.dead_letters import DeadLetters
from workers.runtime.health import HealthServer, Heartbeat, Page
from workers.runtime.loop import TransactionalLoop
from workers.runtime.metrics import LoopMetrics
from workers.runtime.processing import Processor
from workers.runtime.settings import Settings
from workers.runtime.tracing import exported_traces
from workers.runtime.transaction import TransactionalProducer

log = structlog.get_logger(__name__)


def client_options(settings: Settings) -> ClientOptions:
    """Return the options of this process's Kafka clients.

    Raises:
        ConfigurationError: no Kafka is configured.
    """
    if settings.kafka_bootstrap_servers is None:
        raise ConfigurationError(
            "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS is not set; name your Kafka there, or start one "
            "on this machine with 'secondsight broker'"
        )
    return ClientOptions(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        instance_id=settings.instance_id,
        advertised_address=settings.advertised_address,
        session_timeout_ms=settings.session_timeout_ms,
        max_poll_interval_ms=settings.max_poll_interval_ms,
        transaction_timeout_ms=settings.transaction_timeout_ms,
        extra=settings.kafka_options,
    )


def group_of(settings: Settings, name: str) -> str:
    """Return the consumer group of the workers of a kind, "stats" or "suggest"."""
    return f"{settings.topic_prefix}secondsight-{name}"


def run_worker(
    processor: Processor,
    *,
    name: str,
    inputs: Sequence[str],
    settings: Settings,
    registry: CollectorRegistry,
    batch_max_records: int,
    batch_max_wait_ms: int,
    worker_faults: tuple[type[Exception], ...],
    pages: Mapping[str, Page] | None = None,
) -> None:
    """Run a processor until SIGTERM or SIGINT, then finish the batch in hand and leave.

    Args:
        processor: what the worker does with records.
        name: of the worker, "stats" or "suggest": names its group and transactional id.
        inputs: contract names of its input topics, the leading one first.
        settings: of the process.
        registry: what the process measures; the loop adds its own.
        batch_max_records: most records in one transaction.
        batch_max_wait_ms: how long the first record of a batch waits for company.
        worker_faults: errors of `process` that are no record's fault.
        pages: what its health server answers besides, by what the path begins with.

    Raises:
        WorkersError: see `TransactionalLoop.run`.
        KafkaException: a fatal error of a client.
    """
    options = client_options(settings)
    group = group_of(settings, name)
    # A name of its own for each process, unless the operator vouches for one: then a restart
    # fences its predecessor at once instead of waiting for the transaction's time-out.
    instance = settings.instance_id or uuid.uuid4().hex
    heartbeat = Heartbeat()
    with ExitStack() as stack:
        tell_ready: Callable[[bool], None] = lambda _ready: None  # noqa: E731
        if settings.health_port is not None:
            server = stack.enter_context(
                HealthServer(
                    heartbeat,
                    heartbeat_limit=settings.heartbeat_limit_ms / 1000,
                    registry=registry,
                    host=settings.health_host,
                    port=settings.health_port,
                    pages=pages,
                )
            )
            tell_ready = server.ready
            log.info("health served", port=server.port)
        loop = TransactionalLoop(
            processor,
            consumer=Consumer(options.group_consumer(group, name=name)),
            producer=TransactionalProducer(
                options.transactional_producer(f"{group}-{instance}"),
                physical=settings.topic,
                timeout=settings.transaction_timeout_ms / 1000,
            ),
            inputs=inputs,
            topic_prefix=settings.topic_prefix,
            dead_letters=DeadLetters(
                max_ratio=settings.dead_letter_max_ratio, window=settings.dead_letter_window
            ),
            metrics=LoopMetrics(registry),
            traces=stack.enter_context(exported_traces(name)) if settings.traces else None,
            batch_max_records=batch_max_records,
            batch_max_wait=batch_max_wait_ms / 1000,
            max_idle=settings.max_idle_ms / 1000,
            worker_faults=worker_faults,
            on_beat=heartbeat.beat,
            on_ready=tell_ready,
        )
        stack.enter_context(stopped_by_signals(loop.stop, grace=settings.shutdown_grace_ms / 1000))
        log.info("worker started", group=group, inputs=list(inputs))
        loop.run()
    log.info("worker left")


@contextmanager
def stopped_by_signals(stop: Callable[[], None], *, grace: float) -> Iterator[None]:
    """Stop on SIGTERM or SIGINT; after `grace` seconds the process ends as by SIGKILL.

    That loses nothing: an open transaction is aborted by its coordinator.
    """

    def overdue() -> None:
        log.error("did not stop in time, ending", grace_seconds=grace)
        os._exit(1)

    timer = threading.Timer(grace, overdue)
    timer.daemon = True

    def handle(_number: int, _frame: object) -> None:
        stop()
        if not timer.is_alive():
            timer.start()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
