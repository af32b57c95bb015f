"""`secondsight retrain`: a challenger from what became of listings, and the gate's verdict."""

import json
import signal
import sys
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Annotated

import typer

from models.bundle.manifest import RuleName
from models.extractors.cache import user_cache
from models.extractors.registry import BACKBONE_NAMES, backbone
from models.extractors.tasks.network import Depth
from models.extractors.tasks.tune import Tuning
from models.head_training import Objective
from schemas.topics import MODELS
from workers.cli.stages import Stages
from workers.cli.train import ExtractorChoice
from workers.errors import ConfigurationError
from workers.examples.store import ExampleStore
from workers.registry.reports import RetrainRecords
from workers.retrain.due import due
from workers.retrain.images import Extractors
from workers.retrain.job import Places, Rules
from workers.retrain.job import retrain as run_retraining
from workers.retrain.mlflow_log import check_mlflow, log_to_mlflow
from workers.retrain.photos import PhotoShelf
from workers.runtime.service import client_options
from workers.runtime.settings import Settings
from workers.suggest.worker import fetcher


def retrain(
    when_due: Annotated[
        bool,
        typer.Option(
            "--when-due",
            help="Do nothing unless the last one is SECONDSIGHT_RETRAIN_INTERVAL_DAYS old or an "
            "early one was asked for.",
        ),
    ] = False,
    window_days: Annotated[
        int | None,
        typer.Option(min=1, help="Learn from so many days. [default: the setting]"),
    ] = None,
    backbone_name: Annotated[
        str,
        typer.Option(
            "--backbone", help=f"Image network of the first model: {', '.join(BACKBONE_NAMES)}."
        ),
    ] = "lite2",
    extractor: Annotated[
        ExtractorChoice, typer.Option(help="How much of it the first model tunes, as of train.")
    ] = ExtractorChoice.PRETRAINED,
    rule: Annotated[RuleName | None, typer.Option(help="[default: the champion's]")] = None,
    delta: Annotated[
        float, typer.Option(min=0.01, max=0.97, help="With --rule percentile: share to price.")
    ] = 0.5,
    epsilon: Annotated[
        float, typer.Option(min=0.01, max=5.0, help="With --rule: largest log error.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Train a model on what listings led to, and publish it if it is fit to take over.

    It is compared with the model in use on the newest sold listings, which neither has seen. If
    it is refused, the model in use stays, the report says why, and the exit code is 0: that is no
    failure. Another retraining at the same time ends with exit code 1.
    """
    settings = Settings()
    if settings.model_registry is None or settings.examples_url is None:
        raise ConfigurationError(
            "SECONDSIGHT_MODEL_REGISTRY and SECONDSIGHT_EXAMPLES_URL must be set: where models "
            "are published, and where the outcomes worker writes examples"
        )
    now = datetime.now(UTC)
    if when_due:
        why = _due(settings, settings.model_registry, now)
        if why is None:
            typer.echo(json.dumps({"due": False}) if as_json else "no retraining is due")
            return
        typer.echo(f"due: {why}", err=True)
    if settings.mlflow_tracking_uri is not None:
        check_mlflow(settings.mlflow_tracking_uri)
    # SIGTERM ends it as an error would: the lock is given back, and nothing is half published
    signal.signal(signal.SIGTERM, _ended)
    objective = None if rule is None else Objective(rule=rule, delta=delta, epsilon=epsilon)
    depth = None if extractor is ExtractorChoice.PRETRAINED else Depth(extractor)
    folder = settings.retrain_folder or user_cache() / "retrain"
    with Stages() as stages:
        found = run_retraining(
            Places(
                examples=ExampleStore(settings.examples_url),
                registry_url=settings.model_registry,
                shelf=PhotoShelf(
                    folder,
                    lambda: fetcher(settings),
                    at_once=settings.image_fetches_at_once,
                    of_a_host=settings.image_fetches_per_host,
                ),
                folder=folder,
                options=client_options(settings),
                topic=settings.topic(MODELS),
            ),
            Rules(
                days=window_days or settings.retrain_window_days,
                floor=settings.retrain_category_floor,
                seller_share=settings.retrain_seller_share,
                seller_cap=settings.seller_cap,
                max_ahead=timedelta(milliseconds=settings.max_future_ms),
                objective=objective,
                extractors=Extractors(
                    backbone=backbone_name,
                    tuning=None if depth is None else Tuning(depth=depth),
                    refresh=timedelta(days=settings.extractor_refresh_days),
                    named=backbone,
                ),
                seed=seed,
            ),
            now=now,
            report=stages,
        )
    if settings.mlflow_tracking_uri is not None:
        log_to_mlflow(found, settings.mlflow_tracking_uri)
    typer.echo(json.dumps(found.line()) if as_json else found.for_people())


def _due(settings: Settings, registry: str, now: datetime) -> str | None:
    records = RetrainRecords(registry)
    return due(
        now=now,
        last=records.last_at(),
        interval=timedelta(days=settings.retrain_interval_days),
        requests=records.requests(),
    )


def _ended(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
