"""Which image networks a challenger has: the champion's, until they are old."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from models.dataset.rows import Dataset
from models.extractors.protocol import DivisibleBackbone
from models.extractors.tasks.labels import Task
from models.extractors.tasks.network import Depth
from models.extractors.tasks.tune import Tuning
from models.head_training import Report
from models.image_networks import ImageNetworks, networks_of, new_networks
from workers.examples.example import Example
from workers.retrain.champion import Champion
from workers.retrain.photos import PhotoShelf


@dataclass(frozen=True, slots=True, kw_only=True)
class Extractors:
    """How image networks are made where a champion's are not taken over.

    Attributes:
        backbone: name of the pretrained network of the first model.
        tuning: of the first model; None takes the backbone as it was pretrained.
        refresh: age after which tuned extractors are tuned anew, as they were before.
        named: gives a backbone by name.
    """

    backbone: str
    tuning: Tuning | None
    refresh: timedelta
    named: Callable[[str], DivisibleBackbone]


@dataclass(frozen=True, slots=True)
class ChosenImages:
    """Image networks, when they were trained, and why these."""

    images: ImageNetworks
    trained_at: datetime
    why: str


def choose_images(
    champion: Champion | None,
    learnt: Sequence[Example],
    shelf: PhotoShelf,
    folder: Path,
    *,
    extractors: Extractors,
    currency: str,
    now: datetime,
    seed: int,
    report: Report,
) -> ChosenImages:
    """Return the champion's image networks, or new ones, made in a folder.

    Features of a network that is kept are in the cache: so a retraining takes minutes.

    Args:
        champion: or None.
        learnt: what new extractors are trained on.
        shelf: fetches the photos for that.
        folder: where new networks are written.
        extractors: how.
        currency: of the prices.
        now: UTC.
        seed: of a training.
        report: told of progress.

    Raises:
        WorkersError: photos cannot be had.
        ModelsError: extractors cannot be trained.
    """
    name, tuning = extractors.backbone, extractors.tuning
    why = "there is no champion"
    if champion is not None:
        manifest = champion.bundle.manifest
        trained_at = champion.extractors_trained_at
        tuning = _tuning_of(manifest.training.get("extractors"))
        if tuning is None:
            return ChosenImages(
                networks_of(champion.bundle), trained_at, "the champion's: pretrained, they stay"
            )
        age = now - trained_at
        if age < extractors.refresh:
            why = f"the champion's: {age.days} days old"
            return ChosenImages(networks_of(champion.bundle), trained_at, why)
        name = manifest.image_networks[0].backbone
        why = f"the champion's are {age.days} days old"
    rows = []
    if tuning is not None:
        rows = shelf.with_files(learnt, progress=lambda done, total: report("fetch", done, total))
    dataset = Dataset("examples", currency, Path("the examples"), rows, [], [])
    images = new_networks(
        dataset,
        rows,
        folder,
        backbone=extractors.named(name),
        tuning=tuning,
        seed=seed,
        report=report,
    )
    return ChosenImages(images, now, f"new: {why}")


def _tuning_of(described: JsonValue) -> Tuning | None:
    """Return how extractors were trained, from what the manifest says of it."""
    if not isinstance(described, Mapping):
        return None
    return Tuning(
        depth=Depth(cast(str, described["depth"])),
        tasks=tuple(Task(cast(str, task)) for task in cast(list[JsonValue], described["tasks"])),
        base=bool(described["base"]),
        epochs=cast(int | None, described["epochs"]),
    )
