"""`secondsight train`: a dataset in, a model bundle out."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from models.bundle.manifest import Manifest, RuleName
from models.dataset.reader import read_dataset
from models.evaluation.metrics import Metrics
from models.extractors.cache import FeatureCache
from models.extractors.registry import BACKBONE_NAMES, backbone
from models.extractors.tasks.labels import PAPER_TASKS, Task
from models.extractors.tasks.network import Depth
from models.extractors.tasks.ranks import Ranks, training_ranks
from models.extractors.tasks.tune import Tuning
from models.feature_training import train_features
from models.head_training import Objective
from models.joint.trainer import PAPER, Plan
from models.training import draw_listings, train_bundle
from workers.cli.metrics_table import metrics_table
from workers.cli.stages import Stages
from workers.cli.tasks_table import tasks_table

_SCHEDULE = (
    "Epochs of the four parts of training, separated by commas; the paper's: 1700,850,3400,1700. "
    "[default: a short one for small data on a CPU]"
)
_PLAIN = (
    "The paper's plain form: its schedule and batch size, no regularisation, one price network, "
    "and a gate at f_cls = 0.5. Meant for hundreds of thousands of listings and a GPU."
)

_EXTRACTOR = (
    "How features are made. pretrained: by the image network as it is. frozen, last, all: by one "
    "network for each of category, brand, attribute and specification, trained on what the "
    "listings say, of which a small layer, the last stage or everything is tuned."
)
_TASKS = "Tasks of the extractors, separated by commas. [default: those with labels enough]"
_STFE = "One extractor trained on the price in place of the tasks: the paper's comparison."


class ExtractorChoice(StrEnum):
    """The backbone as it is, or how much of it each task tunes."""

    PRETRAINED = "pretrained"
    FROZEN = Depth.FROZEN
    LAST = Depth.LAST
    ALL = Depth.ALL


def _tasks(text: str) -> tuple[Task, ...]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in PAPER_TASKS:
            raise typer.BadParameter(
                f"{name!r} is none of the tasks {', '.join(PAPER_TASKS)}", param_hint="--tasks"
            )
    return tuple(task for task in PAPER_TASKS if task in names)


def _tuning(
    extractor: ExtractorChoice, tasks: str | None, epochs: int | None, base: bool, stfe: bool
) -> Tuning | None:
    if extractor is ExtractorChoice.PRETRAINED:
        if tasks is not None or epochs is not None or stfe or not base:
            raise typer.BadParameter(
                "nothing is tuned: name frozen, last or all", param_hint="--extractor"
            )
        return None
    if stfe and tasks is not None:
        raise typer.BadParameter("the price takes the place of the tasks", param_hint="--stfe")
    depth = Depth(extractor)
    if stfe:
        return Tuning(depth=depth, tasks=(Task.PRICE,), base=False, epochs=epochs)
    chosen = PAPER_TASKS if tasks is None else _tasks(tasks)
    return Tuning(depth=depth, tasks=chosen, base=base, epochs=epochs)


_CHECKPOINTS = (
    "Folder of the state of training, written every five minutes and gone when the bundle is "
    "whole: the same command again goes on from there. [default: .NAME.training beside the bundle]"
)


def _epochs(text: str) -> tuple[int, int, int, int]:
    try:
        parts = [int(part) for part in text.split(",")]
        if len(parts) != 4 or min(parts) < 0 or not sum(parts):
            raise ValueError
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not four numbers of epochs, such as 1700,850,3400,1700"
        ) from None
    return parts[0], parts[1], parts[2], parts[3]


def train(
    dataset: Annotated[Path, typer.Option(help="Folder with listings.csv and images/.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle; an older one is replaced.")],
    backbone_name: Annotated[
        str, typer.Option("--backbone", help=f"Image network: {', '.join(BACKBONE_NAMES)}.")
    ] = "lite2",
    rule: Annotated[
        RuleName,
        typer.Option(help="percentile: price a share of the listings. threshold: the close ones."),
    ] = RuleName.PERCENTILE,
    delta: Annotated[
        float, typer.Option(min=0.01, max=0.97, help="Share to price (percentile rule).")
    ] = 0.5,
    epsilon: Annotated[
        float,
        typer.Option(
            min=0.01, max=5.0, help="Largest log error (threshold rule); confidence is of it too."
        ),
    ] = 0.5,
    extractor: Annotated[ExtractorChoice, typer.Option(help=_EXTRACTOR)] = (
        ExtractorChoice.PRETRAINED
    ),
    tasks: Annotated[str | None, typer.Option(help=_TASKS)] = None,
    extractor_epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of each extractor, at most.")
    ] = None,
    base: Annotated[
        bool, typer.Option(help="Keep the pretrained features beside those of the tasks.")
    ] = True,
    stfe: Annotated[bool, typer.Option("--stfe", help=_STFE)] = False,
    schedule: Annotated[str | None, typer.Option(help=_SCHEDULE)] = None,
    plain: Annotated[bool, typer.Option("--plain", help=_PLAIN)] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use that many listings, drawn by the seed.")
    ] = None,
    checkpoints: Annotated[Path | None, typer.Option(help=_CHECKPOINTS)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Train the networks on a dataset with photos and prices, and write a bundle.

    Statistics are as of listing time where the dataset has times. A part of the listings is kept
    apart, and the metrics are those of that part.

    Started by torchrun, all processes train the extractors together, on one cache folder that
    they share; the first one does the rest.
    """
    plan: Plan | None = PAPER if plain else None
    epochs = None if schedule is None else _epochs(schedule)
    tuning = _tuning(extractor, tasks, extractor_epochs, base, stfe)
    with training_ranks() as ranks:
        if not ranks.first:
            _help(dataset, backbone_name, tuning, seed, limit, ranks)
            return
        with Stages() as stages:
            stages("reading", 0, 1)
            rows = read_dataset(dataset)
            stages("reading", 1, 1)
            manifest = train_bundle(
                rows,
                out,
                backbone=backbone(backbone_name),
                objective=Objective(rule=rule, delta=delta, epsilon=epsilon, paper_gate=plain),
                tuning=tuning,
                ranks=ranks,
                plan=plan,
                epochs=epochs,
                seed=seed,
                limit=limit,
                cache=FeatureCache(),
                checkpoints=checkpoints or out.absolute().with_name(f".{out.name}.training"),
                report=stages,
            )
    for skipped in rows.skipped:
        typer.echo(f"skipped {skipped}", err=True)
    metrics: Any = manifest.metrics
    if as_json:
        typer.echo(json.dumps({"model_version": manifest.model_version, **metrics}))
    else:
        typer.echo(_for_people(manifest, metrics, out))


def _help(
    dataset: Path,
    backbone_name: str,
    tuning: Tuning | None,
    seed: int,
    limit: int | None,
    ranks: Ranks,
) -> None:
    """Take part in the training of the extractors, as a process that is not the first."""
    if tuning is None:
        return
    rows = read_dataset(dataset)
    listings = draw_listings(rows, limit, seed)
    train_features(rows, listings, backbone(backbone_name), tuning, seed=seed, ranks=ranks)


def _for_people(manifest: Manifest, metrics: Any, out: Path) -> str:
    source = manifest.source
    lines = [f"{manifest.model_version} in {out}"]
    if tasks := metrics.get("tasks"):
        lines += tasks_table(tasks)
        if not manifest.image_networks[0].parts:
            lines.append("no task has labels enough: the features are the pretrained ones")
    lines.append(
        f"trained on {source.train} listings, validated with {source.validation}; of the "
        f"{source.test} kept apart:\n{metrics_table(Metrics.model_validate(metrics))}"
    )
    return "\n".join(lines)
