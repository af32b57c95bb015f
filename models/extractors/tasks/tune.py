"""Section 3.2 whole: a network for each task, trained alone, then cut and set side by side."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pydantic import JsonValue
from torch import nn

from models.dataset.rows import ListingRow
from models.extractors.protocol import DivisibleBackbone
from models.extractors.tasks.activations import ActivationStore
from models.extractors.tasks.labels import (
    PAPER_TASKS,
    Indices,
    Labels,
    Task,
    price_labels,
    task_labels,
)
from models.extractors.tasks.metrics import rounded, task_metrics
from models.extractors.tasks.network import Depth, TaskNetwork, split
from models.extractors.tasks.ranks import Ranks
from models.extractors.tasks.samples import PhotoFiles, StoredActivations
from models.extractors.tasks.trainer import Photos, TaskPlan, answer, train_task
from models.extractors.tasks.tuned import BASE, Part, TunedBackbone

Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What features a training makes for itself.

    Attributes:
        depth: how much of the backbone each task tunes.
        tasks: which; the price alone is the paper's STFE (4.5).
        base: whether the features of the backbone as it was pretrained go before the tasks'.
        epochs: in place of those of the plan.
    """

    depth: Depth
    tasks: tuple[Task, ...] = PAPER_TASKS
    base: bool = True
    epochs: int | None = None


@dataclass(frozen=True, slots=True)
class Subjects:
    """The listings that extractors are trained and measured on.

    Attributes:
        listings: `[N]`.
        photos: for each listing the photos that it is judged by, none where none can be used.
        digests: for each listing the SHA-256 of its photos.
        log_prices: `[N]` natural log of price, NaN where it is not known.
        train: listings to train on, of the training part.
        validation: of the validation part.
        test: of the test part.
    """

    listings: Sequence[ListingRow]
    photos: Sequence[Sequence[Path]]
    digests: Sequence[Sequence[str]]
    log_prices: npt.NDArray[np.float32]
    train: Indices
    validation: Indices
    test: Indices


def tune(
    backbone: DivisibleBackbone,
    subjects: Subjects,
    tuning: Tuning,
    *,
    folder: Path,
    seed: int,
    ranks: Ranks,
    plan: TaskPlan | None = None,
    report: Report = lambda stage, done, total: None,  # noqa: ARG005
) -> tuple[TunedBackbone | None, dict[str, JsonValue]]:
    """Train a network for each task that has enough labels, and measure each.

    Args:
        backbone: what they begin as.
        subjects: listings in three parts; only the training part is learnt from, and the
            validation part says when to stop.
        tuning: which tasks, and how deep.
        folder: for activations and for the state of each training, so that a killed one goes on
            and one that was done is not done again. Several machines need one that they share.
        seed: of weights, batches and changes of photos.
        ranks: the processes of this training.
        plan: how each task is trained; `default_plan` of the depth if it is not given.
        report: told of progress, in the first process.

    Returns:
        The backbone of the features, None where no task can be trained; and for each task, how
        its labels are spread and how well it does on the validation and test parts, or why it was
        left out (`skipped`).

    Raises:
        TrainingError: a training came to no good end.
        ModelsError: the folder cannot be written, or photos changed meanwhile.
        WeightsMissingError: the backbone's weights are not on this machine.
    """
    plan = plan or default_plan(tuning.depth)
    plan = replace(plan, epochs=plan.epochs if tuning.epochs is None else tuning.epochs)
    found: dict[str, JsonValue] = {}
    wanted: list[Labels] = []
    for task in tuning.tasks:
        labels = _labels(task, subjects)
        reason = labels.too_few(subjects.train)
        found[task] = {"skipped": reason} if reason else labels.balance(subjects.train)
        if not reason:
            wanted.append(labels)
    if not wanted:
        return None, found

    photos = _photos(backbone, subjects, tuning.depth, folder, ranks, report)
    trunk, untuned = split(backbone, tuning.depth)
    parts: list[tuple[Part, nn.Module]] = []
    if tuning.base:
        parts.append((Part(BASE, backbone.width), untuned))
    for labels in wanted:
        _, tail = split(backbone, tuning.depth)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = TaskNetwork(tail, backbone.width, len(labels.classes), depth=tuning.depth)
        stage = f"{labels.task} extractor"
        key = _key(backbone, subjects, labels, tuning.depth, plan, seed)
        progress = train_task(
            network,
            photos,
            labels,
            subjects.train,
            subjects.validation,
            plan=plan,
            seed=seed,
            ranks=ranks,
            checkpoint=folder / "training" / f"{key}.safetensors",
            on_step=lambda done, total, stage=stage: report(stage, done, total),  # type: ignore[misc]
        )
        of_task = labels.balance(subjects.train) | {"epoch": progress.best_epoch}
        if ranks.first:
            network.to(ranks.device)
            for name, part in (("validation", subjects.validation), ("test", subjects.test)):
                measured = task_metrics(labels, answer(network, photos, part, ranks.device), part)
                of_task[name] = rounded(measured)
            network.cpu()
        found[labels.task] = of_task
        parts.append((Part(labels.task, network.width), network.cut))
    return TunedBackbone(backbone, trunk, parts), found


def default_plan(depth: Depth) -> TaskPlan:
    """Return how a task is trained unless it is said otherwise."""
    return TaskPlan(epochs=30 if depth is Depth.FROZEN else 8)


def _labels(task: Task, subjects: Subjects) -> Labels:
    if task is Task.PRICE:
        return price_labels(subjects.log_prices, subjects.train)
    return task_labels(task, subjects.listings, subjects.train)


def _photos(
    backbone: DivisibleBackbone,
    subjects: Subjects,
    depth: Depth,
    folder: Path,
    ranks: Ranks,
    report: Report,
) -> Photos:
    paths = [path for of_listing in subjects.photos for path in of_listing]
    counts = [len(of_listing) for of_listing in subjects.photos]
    listing = np.repeat(np.arange(len(counts)), counts)
    if depth is Depth.ALL:
        return Photos(PhotoFiles(backbone, paths), listing)
    store = ActivationStore(folder / "activations", backbone, depth)

    def told(done: int, total: int) -> None:
        report("activations", done, total)

    ranks.from_first(lambda: store.fill(paths, progress=told))
    return Photos(StoredActivations(store, paths), listing)


def _key(
    backbone: DivisibleBackbone,
    subjects: Subjects,
    labels: Labels,
    depth: Depth,
    plan: TaskPlan,
    seed: int,
) -> str:
    """Name a training by all that its result depends on."""
    said = [backbone.fingerprint, depth, labels.task, labels.classes, asdict(plan), seed]
    said += [[str(digest) for digest in of_listing] for of_listing in subjects.digests]
    said += [len(of_listing) for of_listing in subjects.photos]  # those without a fault
    digest = hashlib.sha256(json.dumps(said).encode())
    for values in (labels.targets, subjects.train, subjects.validation):
        digest.update(values.tobytes())
    return digest.hexdigest()[:32]
