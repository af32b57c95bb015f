"""`secondsight train`: a dataset in, a model bundle out."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from models.bundle.manifest import Manifest, RuleName
from models.dataset.reader import read_dataset
from models.evaluation.metrics import Metrics
from models.extractors.cache import FeatureCache
from models.extractors.registry import BACKBONE_NAMES, backbone
from models.joint.trainer import PAPER, Plan
from models.training import Objective, train_bundle
from workers.cli.metrics_table import metrics_table
from workers.cli.stages import Stages

_SCHEDULE = (
    "Epochs of the four parts of training, separated by commas; the paper's: 1700,850,3400,1700. "
    "[default: a short one for small data on a CPU]"
)
_PLAIN = (
    "The paper's plain form: its schedule and batch size, no regularisation, one price network, "
    "and a gate at f_cls = 0.5. Meant for hundreds of thousands of listings and a GPU."
)

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
        float, typer.Option(min=0.01, max=5.0, help="Largest log error (threshold rule).")
    ] = 0.5,
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
    """
    plan: Plan | None = PAPER if plain else None
    epochs = None if schedule is None else _epochs(schedule)
    with Stages() as stages:
        stages("reading", 0, 1)
        rows = read_dataset(dataset)
        stages("reading", 1, 1)
        manifest = train_bundle(
            rows,
            out,
            backbone=backbone(backbone_name),
            objective=Objective(rule=rule, delta=delta, epsilon=epsilon, paper_gate=plain),
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


def _for_people(manifest: Manifest, metrics: Any, out: Path) -> str:
    source = manifest.source
    return (
        f"{manifest.model_version} in {out}\n"
        f"trained on {source.train} listings, validated with {source.validation}; of the "
        f"{source.test} kept apart:\n{metrics_table(Metrics.model_validate(metrics))}"
    )
