"""The demo from end to end: data, Kafka, training, workers, events, and a check of the whole."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.bundle.manifest import Manifest
from models.dataset.reader import read_dataset
from models.dataset.rows import Dataset
from models.extractors.cache import FeatureCache
from models.extractors.registry import backbone
from models.head_training import Objective
from models.training import train_bundle
from simulator.market import simulate
from workers.demo.check import CHECKED_TOPICS, Verdict, check
from workers.demo.folder import prepare_folder
from workers.demo.live import stream
from workers.demo.logs import read_log
from workers.demo.outcomes import Figures, Outcome, figures, outcomes
from workers.demo.parts import Parts, divide, first_day
from workers.demo.stages import Stages
from workers.demo.system import kafka_system, running_workers, stop_workers
from workers.runtime.service import client_options
from workers.runtime.settings import Settings

LISTINGS = 2_400  # of which 800 are streamed; about four minutes in all on two cores


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo found out."""

    dataset: str
    verdict: Verdict
    figures: Figures
    outcomes: list[Outcome]
    model_version: str
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
            "model_version": self.model_version,
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
) -> DemoResult:
    """Run the whole loop on this machine.

    Args:
        settings: of which the Kafka ones count; without a configured Kafka one is started.
        stages: where the progress is shown.
        out: a folder for all that the demo writes; what an earlier demo left there is removed.
        dataset: the folder to take listings and sales from; without it a market is simulated.
        listings: how many to simulate, or to take of the dataset at most.
        seed: of the simulation, of training and of what is drawn.

    Raises:
        ConfigurationError: `out` is some other folder.
        WorkersError: Kafka or a worker cannot go on.
        ModelsError, SimulatorError: the data cannot be used.
    """
    started = time.monotonic()
    prepare_folder(out)
    data = _data(stages, out, dataset, listings, seed)
    parts = divide(data, seed=seed, most_listings=listings)
    if parts.left_out:
        stages.say(f"{len(parts.left_out)} rows left out; the first: {parts.left_out[0]}")
    with kafka_system(settings, stages) as system:
        manifest = _train(stages, parts, out, seed, cached=dataset is not None)
        with running_workers(
            system,
            stages,
            bundle=out / "bundle",
            photos=data.folder,
            state=out / "state",
            logs=out / "logs",
        ) as workers:
            stream(system, stages, parts, workers)
            stop_workers(workers, stages)
        with stages.stage("check", "Checking every answer and recounting every statistic"):
            options = client_options(system)
            logs = {name: read_log(options, system.topic(name)) for name in CHECKED_TOPICS}
            verdict = check(logs)
            found = outcomes(logs)
    return DemoResult(
        dataset=data.name,
        verdict=verdict,
        figures=figures(found, manifest.price_limits),
        outcomes=found,
        model_version=manifest.model_version,
        seconds=stages.seconds,
        wall_s=time.monotonic() - started,
    )


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


def _train(stages: Stages, parts: Parts, out: Path, seed: int, *, cached: bool) -> Manifest:
    title = f"Training on {len(parts.training.listings)} listings before {parts.cut:%Y-%m-%d}"
    with stages.stage("train", title) as stage:
        return train_bundle(
            parts.training,
            out / "bundle",
            backbone=backbone("lite2"),
            objective=Objective(),
            seed=seed,
            # the photos of a real dataset stay the same from one demo to the next
            cache=FeatureCache() if cached else None,
            report=lambda name, done, total: stage.reach(done, name, total=total),
        )
