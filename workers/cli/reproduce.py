"""`secondsight reproduce`: the tables of the paper, made anew from a dataset."""

import json
import os
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer

from models.dataset.reader import read_dataset
from models.extractors.cache import FeatureCache
from models.extractors.registry import BACKBONE_NAMES, backbone
from models.extractors.tasks.network import Depth
from models.joint.trainer import PAPER
from models.reproduction.grid import TABLES
from models.reproduction.reproduce import Grid, Reproduction
from models.reproduction.reproduce import reproduce as make_tables
from workers.cli.cells_display import CellsDisplay

_TABLES = (
    "Numbers of the tables, separated by commas: 1 listings, 2 percentile rule, 3 threshold rule, "
    "4 features, 5 warm-up, 6 other ways to price."
)
_PLAN = (
    "short: regularised, for thousands of listings on a CPU. paper: its schedule and plain form, "
    "and a gate at f_cls = 0.5, for hundreds of thousands and a GPU."
)


class PlanChoice(StrEnum):
    """How each training goes."""

    SHORT = "short"
    PAPER = "paper"


def _tables(text: str) -> tuple[int, ...]:
    try:
        numbers = {int(part) for part in text.split(",")}
        if not numbers <= set(TABLES):
            raise ValueError
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not numbers of tables from {TABLES[0]} to {TABLES[-1]}, such as 2,5",
            param_hint="--tables",
        ) from None
    return tuple(sorted(numbers))


def _default_jobs() -> int:
    return 1 if torch.cuda.is_available() else len(os.sched_getaffinity(0))


def reproduce(
    dataset: Annotated[Path, typer.Option(help="Folder with listings.csv and images/.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the results; what is there already is not done again.")
    ],
    tables: Annotated[str, typer.Option(help=_TABLES)] = ",".join(map(str, TABLES)),
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each setting.")] = 3,
    plan: Annotated[PlanChoice, typer.Option(help=_PLAN)] = PlanChoice.SHORT,
    quick: Annotated[
        bool, typer.Option("--quick", help="One seed, a quarter of the epochs: to try it.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Trainings at a time, one thread each. [default: cores; 1 on a GPU]"
        ),
    ] = None,
    backbone_name: Annotated[
        str, typer.Option("--backbone", help=f"Image network: {', '.join(BACKBONE_NAMES)}.")
    ] = "lite2",
    extractor: Annotated[
        Depth, typer.Option(help="How much of it the extractors of Table 4 tune.")
    ] = Depth.FROZEN,
    limit: Annotated[int | None, typer.Option(min=1, help="Use that many listings.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Train and measure all that Tables 1 to 5 of the paper show, and other ways beside them.

    Writes results.md, results.csv and results.html. Each training is kept as it is done, so the
    same command again goes on where an earlier one was stopped.
    """
    start = time.perf_counter()
    wanted = Grid(
        tables=_tables(tables),
        seeds=1 if quick else seeds,
        plan=PAPER if plan is PlanChoice.PAPER else None,
        paper_gate=plan is PlanChoice.PAPER,
        quick=quick,
        depth=extractor,
        limit=limit,
        jobs=jobs or _default_jobs(),
    )
    with CellsDisplay() as display:
        rows = read_dataset(dataset)
        found = make_tables(
            rows,
            out,
            backbone=backbone(backbone_name),
            wanted=wanted,
            cache=FeatureCache(),
            watch=display,
        )
    for skipped in rows.skipped:
        typer.echo(f"skipped {skipped}", err=True)
    if as_json:
        typer.echo(json.dumps(_as_json(found, time.perf_counter() - start)))
    else:
        typer.echo(_for_people(found, out))


def _as_json(found: Reproduction, wall_s: float) -> dict[str, object]:
    return {
        "listings": found.listings,
        "trained": found.trained,
        "known": found.known,
        "failed": found.failed,
        "wall_s": round(wall_s, 1),
        "tables": {
            table.number: {
                name: {
                    column: None if cell is None else cell.mean
                    for column, cell in zip(table.header[1:], cells, strict=True)
                }
                for name, cells in table.rows
            }
            for table in found.tables
        },
    }


def _for_people(found: Reproduction, out: Path) -> str:
    failed = f"; {found.failed} came to no good end" if found.failed else ""
    said = [f"{found.trained} trainings, {found.known} were there already{failed}"]
    for table in found.tables:
        said += [f"Table {table.number}: {table.title}"]
        said += [f"  {sentence}" for sentence in (*table.sentences, *table.remarks)]
    said.append(f"{out / 'results.html'}, results.md, results.csv")
    return "\n".join(said)
