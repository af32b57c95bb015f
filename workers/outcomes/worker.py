"""The outcomes worker as a process: settings, Faust, store, health and metrics, wired."""

import asyncio
from contextlib import ExitStack
from typing import Any

import structlog

from schemas.topics import OUTCOMES_CHANGELOG, SUGGESTION_SCORED
from workers.errors import ConfigurationError, WorkersError
from workers.examples.store import ExampleStore
from workers.outcomes.faust_app import faust_app
from workers.outcomes.intake import Intake
from workers.outcomes.processor import OutcomesProcessor
from workers.outcomes.pump import Pump
from workers.outcomes.reading import ACCEPTED
from workers.outcomes.table import TableLedger
from workers.runtime.cluster import co_partitions
from workers.runtime.dead_letters import DeadLetters
from workers.runtime.health import HealthServer, Heartbeat
from workers.runtime.metrics import LoopMetrics, OutcomesMetrics, RoutingMetrics, new_registry
from workers.runtime.routing import SellerRouter
from workers.runtime.service import client_options, group_of, stopped_by_signals
from workers.runtime.settings import Settings

log = structlog.get_logger(__name__)

NAME = "outcomes"


def run_outcomes(settings: Settings) -> None:
    """Run the outcomes worker until it is told to stop.

    Raises:
        ConfigurationError: no Kafka or no place for examples is configured, the topics are not as
            they must be, or Faust's client cannot do what the options for Kafka ask for.
        WorkersError: the worker cannot go on.
    """
    if settings.examples_url is None:
        raise ConfigurationError(
            "SECONDSIGHT_EXAMPLES_URL is not set; name the folder or address where training "
            "examples are to be written"
        )
    options = client_options(settings)
    topics = (*ACCEPTED, SUGGESTION_SCORED, OUTCOMES_CHANGELOG)
    partitions = co_partitions(options.common(), map(settings.topic, topics))
    store = ExampleStore(settings.examples_url)
    asyncio.run(_run(settings, store, partitions))
    log.info("worker left")


async def _run(settings: Settings, store: ExampleStore, partitions: int) -> None:
    registry = new_registry()
    metrics = LoopMetrics(registry)
    outcomes = OutcomesMetrics(registry)
    group = group_of(settings, NAME)
    app, table = faust_app(settings, group=group, inputs=tuple(ACCEPTED), partitions=partitions)
    ledger = TableLedger(table)
    intake = Intake(app, inputs=frozenset(map(settings.topic, ACCEPTED)))
    processor = OutcomesProcessor(
        ledger,
        router=SellerRouter(partitions=partitions, metrics=RoutingMetrics(registry)),
        metrics=outcomes,
        censor_after=settings.censor_after_days,
        memory=settings.outcome_memory_days,
        max_future=settings.max_future_ms / 1000,
    )
    heartbeat = Heartbeat()
    pump = Pump(
        app,
        intake,
        processor=processor,
        ledger=ledger,
        store=store,
        contract_name={settings.topic(name): name for name in ACCEPTED},
        physical=settings.topic,
        dead_letters=DeadLetters(
            max_ratio=settings.dead_letter_max_ratio, window=settings.dead_letter_window
        ),
        flush_every=settings.outcomes_flush_ms / 1000,
        metrics=metrics,
        outcomes=outcomes,
        on_beat=heartbeat.beat,
    )
    with ExitStack() as stack:
        server = None
        if settings.health_port is not None:
            server = stack.enter_context(
                HealthServer(
                    heartbeat,
                    heartbeat_limit=settings.heartbeat_limit_ms / 1000,
                    registry=registry,
                    host=settings.health_host,
                    port=settings.health_port,
                )
            )
            log.info("health served", port=server.port)
        _follow_rebalances(app, table, intake, pump, metrics, server)
        stack.enter_context(stopped_by_signals(pump.stop, grace=settings.shutdown_grace_ms / 1000))
        log.info("worker started", group=group, inputs=list(ACCEPTED))
        await _run_app(app, pump)


def _follow_rebalances(
    app: Any,
    table: Any,
    intake: Intake,
    pump: Pump,
    metrics: LoopMetrics,
    server: HealthServer | None,
) -> None:
    """Have the pump take and leave partitions as Faust does, once their table is restored."""

    def ready(is_ready: bool) -> None:
        if server is not None:
            server.ready(is_ready)

    async def revoked(_app: Any, _places: Any, **_: Any) -> None:
        partitions = sorted(intake.partitions)
        ready(False)
        log.info("partitions revoked", partitions=partitions)
        metrics.rebalanced("revoked", partitions)
        pump.revoked()

    async def recovered() -> None:
        partitions = sorted(intake.partitions)
        log.info("partitions assigned", partitions=partitions)
        metrics.rebalanced("assigned", partitions)
        pump.assigned()
        ready(True)

    app.on_partitions_revoked.connect(revoked, weak=False)
    table.on_recover(recovered)


async def _run_app(app: Any, pump: Pump) -> None:
    """Run until the pump ends or Faust fails.

    Raises:
        WorkersError: Faust has failed.
    """
    async with app:
        await pump.run()
    if (reason := app.crash_reason) is not None:
        raise WorkersError(f"Faust failed: {reason!r}") from reason
