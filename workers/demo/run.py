"""The demo from end to end: data, Kafka, training, workers, events, and a check of the whole."""

import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient

from models.bundle.manifest import Manifest
from models.dataset.reader import read_dataset
from models.dataset.rows import Dataset
from models.extractors.cache import FeatureCache
from models.extractors.registry import backbone
from models.joint.trainer import Plan
from models.training import Objective, train_bundle
from schemas.dead_letter import dead_letter_topic
from schemas.topics import (
    LISTING_CREATED,
    LISTING_ENRICHED,
    PRICE_SUGGESTED,
    REUPLOAD_REQUESTED,
    TRANSACTIONS,
)
from simulator.market import simulate
from workers.demo.check import CHECKED_TOPICS, Verdict, check
from workers.demo.logs import LogEntry, await_consumed, await_records, read_log
from workers.demo.outcomes import Figures, Outcome, figures, outcomes
from workers.demo.parts import Parts, divide, first_day
from workers.demo.planted import with_planted
from workers.demo.processes import WorkerProcess
from workers.demo.publisher import outgoing, publish
from workers.demo.stages import Stages
from workers.errors import ConfigurationError
from workers.local.broker import kafka_for
from workers.runtime.service import client_options
from workers.runtime.settings import Settings
from workers.topics import create_topics

LISTINGS = 2_400  # of which 800 are streamed; about four minutes in all on two cores
MARKER = ".secondsight-demo"
QUIET_LIMIT_S = 60.0  # without any answer; a batch takes a second
STATS_IDLE_MS = "2000"  # a publisher that pauses for less cannot change a statistic


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo found out."""

    dataset: str
    verdict: Verdict
    figures: Figures
    outcomes: list[Outcome]
    manifest: Manifest
    seconds: Mapping[str, float]
    wall_s: float

    def summary(self) -> dict[str, Any]:
        """Return the figures as the command prints them."""
        found = asdict(self.verdict)
        del found["problems"]
        return {
            "dataset": self.dataset,
            **found,
            **self.figures.rounded(),
            "model_version": self.manifest.model_version,
            "stages": dict(self.seconds),
            "wall_s": round(self.wall_s, 1),
        }


def run_demo(
    settings: Settings,
    stages: Stages,
    *,
    out: Path,
    dataset: Path | None = None,
    listings: int | None = None,
    seed: int = 7,
    plan: Plan | None = None,
) -> DemoResult:
    """Run the whole loop on this machine.

    Args:
        settings: of which the Kafka ones count; without a configured Kafka one is started.
        stages: where the progress is shown.
        out: a folder for all that the demo writes; what an earlier demo left there is removed.
        dataset: the folder to take listings and sales from; without it a market is simulated.
        listings: how many to simulate, or to take of the dataset at most.
        seed: of the simulation, of training and of what is drawn.
        plan: of the training, when not the one for the number of listings.

    Raises:
        ConfigurationError: `out` is some other folder.
        WorkersError: Kafka or a worker cannot go on.
        ModelsError, SimulatorError: the data cannot be used.
    """
    started = time.monotonic()
    _prepare(out)
    with ExitStack() as stack:
        data = _data(stages, out, dataset, listings, seed)
        parts = divide(data, seed=seed, most_listings=listings)
        if parts.left_out:
            stages.say(f"{len(parts.left_out)} rows left out; the first: {parts.left_out[0]}")
        settings = stack.enter_context(_kafka(settings, stages))
        manifest = _train(stages, parts, out, seed, plan, cached=dataset is not None)
        with _workers(settings, stages, out, data.folder) as workers:
            _stream(settings, stages, parts, manifest, workers)
            with stages.stage("stop", "Stopping the workers"):
                for worker in workers:
                    worker.stop()
        with stages.stage("check", "Checking every answer and recounting every statistic"):
            logs = _read(settings)
            verdict = check(logs)
            found = outcomes(logs)
        seconds = dict(stages.seconds)
    return DemoResult(
        dataset=data.name,
        verdict=verdict,
        figures=figures(found, manifest.price_limits),
        outcomes=found,
        manifest=manifest,
        seconds=seconds,
        wall_s=time.monotonic() - started,
    )


def _prepare(out: Path) -> None:
    marker = out / MARKER
    if out.exists() and not (out.is_dir() and (marker.exists() or not any(out.iterdir()))):
        raise ConfigurationError(f"{out} exists and is not of a demo: name another folder")
    out.mkdir(parents=True, exist_ok=True)
    for path in out.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    marker.touch()
    (out / "logs").mkdir()


def _data(
    stages: Stages, out: Path, dataset: Path | None, listings: int | None, seed: int
) -> Dataset:
    if dataset is not None:
        with stages.stage("data", f"Reading {dataset}"):
            return read_dataset(dataset)
    number = listings or LISTINGS
    with stages.stage("data", "Simulating a marketplace with photos", total=number) as stage:
        simulate(
            out / "dataset",
            listings=number,
            seed=seed,
            start=first_day().date(),
            on_progress=stage.advance,
        )
        return read_dataset(out / "dataset")


@contextmanager
def _kafka(settings: Settings, stages: Stages) -> Iterator[Settings]:
    """Yield settings of a system of its own, with its topics, on a started or configured Kafka."""
    configured = settings.kafka_bootstrap_servers is not None
    with ExitStack() as stack:
        with stages.stage("kafka", "Creating topics" if configured else "Starting Apache Kafka"):
            servers = stack.enter_context(kafka_for(settings, say=stages.say))
            settings = settings.model_copy(
                update={
                    "kafka_bootstrap_servers": servers,
                    "topic_prefix": f"{settings.topic_prefix}demo-{uuid.uuid4().hex[:8]}.",
                    # One partition sees every sale, so each statistic is exact at once and can be
                    # counted anew. With more, those of other partitions arrive a moment later.
                    "partitions": 1,
                }
            )
            options = client_options(settings).common()
            topics = create_topics(
                options,
                prefix=settings.topic_prefix,
                partitions=1,
                replication_factor=settings.replication_factor,
                keep_all=True,
            )
        if configured:
            stack.callback(_delete_topics, options, [topic.name for topic in topics])
        yield settings


def _delete_topics(options: Mapping[str, Any], names: Sequence[str]) -> None:
    for future in AdminClient({**options}).delete_topics(list(names)).values():
        future.result()


def _train(
    stages: Stages, parts: Parts, out: Path, seed: int, plan: Plan | None, *, cached: bool
) -> Manifest:
    title = f"Training on {len(parts.training.listings)} listings before {parts.cut:%Y-%m-%d}"
    with stages.stage("train", title) as stage:
        return train_bundle(
            parts.training,
            out / "bundle",
            backbone=backbone("lite2"),
            objective=Objective(),
            plan=plan,
            seed=seed,
            # the photos of a real dataset stay the same from one demo to the next
            cache=FeatureCache() if cached else None,
            report=lambda name, done, total: stage.reach(done, name, total=total),
        )


@contextmanager
def _workers(
    settings: Settings, stages: Stages, out: Path, photos: Path
) -> Iterator[list[WorkerProcess]]:
    if "," in str(photos):
        raise ConfigurationError(f"{photos}: the name of a folder with photos must have no comma")
    common = {
        "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers or "",
        "SECONDSIGHT_TOPIC_PREFIX": settings.topic_prefix,
        "SECONDSIGHT_DATA_DIR": str(out.absolute() / "state"),
    }
    of_suggest = {
        "SECONDSIGHT_BUNDLE": str(out.absolute() / "bundle"),
        "SECONDSIGHT_IMAGE_FILE_ROOTS": str(photos.absolute()),
    }
    with ExitStack() as stack:
        with stages.stage("workers", "Starting the stats and the suggest worker"):
            workers = [
                stack.enter_context(WorkerProcess(name, settings=values, log=log))
                for name, values, log in (
                    (
                        "stats",
                        common | {"SECONDSIGHT_MAX_IDLE_MS": STATS_IDLE_MS},
                        out / "logs" / "stats.jsonl",
                    ),
                    ("suggest", common | of_suggest, out / "logs" / "suggest.jsonl"),
                )
            ]
            for worker in workers:
                worker.wait_ready()
        yield workers


def _stream(
    settings: Settings,
    stages: Stages,
    parts: Parts,
    manifest: Manifest,
    workers: Sequence[WorkerProcess],
) -> None:
    options = client_options(settings)
    history = [outgoing(event) for event in parts.history]
    with stages.stage("history", "Publishing past sales", total=len(history)) as stage:
        publish(history, options=options.common(), topic=settings.topic, on_published=stage.advance)

    live = [outgoing(event) for event in parts.live]
    category = next(row.category for row in parts.training.listings if row.category)
    live = with_planted(
        live, category=category, currency=manifest.currency, folder=parts.training.folder
    )
    listings = sum(record.topic == LISTING_CREATED for record in live)
    sales = len(history) + len(live) - listings
    stages.say(f"{listings} new listings and {len(live) - listings} sales now follow by time")

    def all_run() -> None:
        for worker in workers:
            worker.check()

    with stages.stage("live", "Answering listings", total=listings) as stage:
        publish(live, options=options.common(), topic=settings.topic)
        # Each listing ends in one of these, as an answer or set aside.
        ends = (
            PRICE_SUGGESTED,
            REUPLOAD_REQUESTED,
            *map(dead_letter_topic, (LISTING_CREATED, LISTING_ENRICHED)),
        )
        complete = await_records(
            options,
            [settings.topic(name) for name in ends],
            number=listings,
            quiet_limit=QUIET_LIMIT_S,
            check=all_run,
            on_progress=stage.reach,
        ) and await_consumed(
            options,
            settings.topic(TRANSACTIONS),
            group=f"{settings.topic_prefix}secondsight-stats",
            number=sales,
            time_limit=QUIET_LIMIT_S,
            check=all_run,
        )
    if not complete:
        stages.say("Not everything was answered in time. " + workers[-1].last_words())


def _read(settings: Settings) -> dict[str, list[LogEntry]]:
    options = client_options(settings)
    return {name: read_log(options, settings.topic(name)) for name in CHECKED_TOPICS}
