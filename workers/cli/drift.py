"""`secondsight drift`: whether what is listed now is still what the live model learnt from."""

import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import structlog
import typer

from models.extractors.cache import user_cache
from schemas.topics import MODELS
from workers.cli.stages import Stages
from workers.drift.exporting import show
from workers.drift.page import drift_page
from workers.drift.report import DriftReport
from workers.drift.watch import Limits, Sources, look_for_drift
from workers.errors import ConfigurationError, WorkersError
from workers.examples.store import ExampleStore
from workers.retrain.photos import PhotoShelf
from workers.runtime.health import HealthServer, Heartbeat
from workers.runtime.metrics import DriftMetrics, new_registry
from workers.runtime.service import client_options, stopped_by_signals
from workers.runtime.settings import Settings
from workers.suggest.worker import fetcher

log = structlog.get_logger(__name__)


def drift(
    every: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="SECONDS", help="Stay, look so often, and serve /metrics and /healthz."
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with plots.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Compare what is listed now with what the live model learnt from.

    Photos, statistics, answers and categories of the last SECONDSIGHT_DRIFT_DAYS, and the error of
    what has sold. Where a limit is passed an early retraining is asked for, which `secondsight
    retrain --when-due` then does. Drift is no failure: the exit code is 0.
    """
    settings = Settings()
    if settings.model_registry is None or settings.examples_url is None:
        raise ConfigurationError(
            "SECONDSIGHT_MODEL_REGISTRY and SECONDSIGHT_EXAMPLES_URL must be set: where models "
            "are published, and where the outcomes worker writes examples"
        )

    def look() -> DriftReport:
        found = _look(settings)
        if html is not None:
            html.write_text(drift_page(found, psi_limit=settings.drift_psi), encoding="utf-8")
        typer.echo(json.dumps(found.line()) if as_json else found.for_people())
        return found

    if every is None:
        look()
    else:
        _stay(settings, look, every)


def _stay(settings: Settings, look: Callable[[], DriftReport], every: float) -> None:
    registry = new_registry()
    metrics = DriftMetrics(registry)
    heartbeat = Heartbeat()
    stopping = threading.Event()
    with ExitStack() as stack:
        if settings.health_port is not None:
            server = stack.enter_context(
                HealthServer(
                    heartbeat,
                    # a look may take minutes, where many photos are new
                    heartbeat_limit=10 * every + settings.heartbeat_limit_ms / 1000,
                    registry=registry,
                    host=settings.health_host,
                    port=settings.health_port,
                )
            )
            server.ready(True)
            log.info("health served", port=server.port)
        grace = settings.shutdown_grace_ms / 1000
        stack.enter_context(stopped_by_signals(stopping.set, grace=grace))
        while not stopping.is_set():
            try:
                show(look(), metrics)
            except ConfigurationError:
                raise
            except WorkersError as error:  # a storage or a broker is away: the next look may pass
                log.warning("no look at drift", error=str(error))
            heartbeat.beat()
            stopping.wait(every)


def _look(settings: Settings) -> DriftReport:
    folder = settings.retrain_folder or user_cache() / "retrain"
    assert settings.model_registry is not None  # noqa: S101 - `drift` has asked
    assert settings.examples_url is not None  # noqa: S101
    with Stages() as stages:
        return look_for_drift(
            Sources(
                examples=ExampleStore(settings.examples_url),
                registry_url=settings.model_registry,
                shelf=PhotoShelf(
                    folder,
                    lambda: fetcher(settings),
                    at_once=settings.image_fetches_at_once,
                    of_a_host=settings.image_fetches_per_host,
                ),
                options=client_options(settings),
                topic=settings.topic(MODELS),
            ),
            Limits(
                days=settings.drift_days,
                sample=settings.drift_sample,
                psi=settings.drift_psi,
                error_growth=settings.drift_error_growth,
                pause=timedelta(days=settings.drift_pause_days),
                max_ahead=timedelta(milliseconds=settings.max_future_ms),
            ),
            now=datetime.now(UTC),
            report=stages,
        )
