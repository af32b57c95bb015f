"""The whole of it: the data once, every training of the grid once, the tables of all of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from models.dataset.rows import Dataset
from models.dataset.splits import has_times
from models.errors import ModelsError, TrainingError
from models.evaluation.oracle import read_oracle
from models.extractors.cache import FeatureCache
from models.extractors.protocol import DivisibleBackbone
from models.extractors.tasks.network import Depth
from models.head_training import network_plan, quick_plan
from models.joint.trainer import Plan
from models.reproduction.cell import Conditions, Outcome
from models.reproduction.features import Source
from models.reproduction.grid import Cell, FeatureSet, Setting, grid
from models.reproduction.pages import write_pages
from models.reproduction.parts import parts_table
from models.reproduction.perfect import perfectly_read, photo_worth
from models.reproduction.prepared import Prepared, prepare
from models.reproduction.processes import Work, train_cells
from models.reproduction.store import CellStore
from models.reproduction.table import Table
from models.reproduction.tables import TABLE_BY_NUMBER
from models.training import draw_listings
from models.training_data import check_prices

CELLS_FOLDER = "cells"
DATA_FOLDER = "data"
QUICK_SHARE = 0.25  # of the epochs


class Watch(Protocol):
    """Is told of progress."""

    def stage(self, name: str, done: int, total: int) -> None:
        """Tell of the reading of photos and the training of extractors."""
        ...

    def begin(self, left: Sequence[Cell], known: Mapping[Cell, Outcome], jobs: int) -> None:
        """Tell which cells will be trained, and which were before."""
        ...

    def steps(self, cell: Cell, done: int, total: int) -> None:
        """Tell how far a cell is."""
        ...

    def done(self, cell: Cell, outcome: Outcome) -> None:
        """Tell what a cell came to."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What is to be measured, and how.

    Attributes:
        tables: numbers of the tables.
        seeds: trainings of each setting.
        plan: of all trainings; by default those for thousands of listings on a CPU.
        paper_gate: the gate opens at f_cls = 0.5, as in the paper.
        quick: a quarter of the epochs, to see whether all works.
        depth: how much of the backbone the extractors of Table 4 tune.
        limit: use that many listings, drawn by seed 0; all by default.
        jobs: trainings at a time.
    """

    tables: Sequence[int]
    seeds: int
    plan: Plan | None = None
    paper_gate: bool = False
    quick: bool = False
    depth: Depth = Depth.FROZEN
    limit: int | None = None
    jobs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What came of it.

    Attributes:
        tables: as written.
        listings: that were used.
        trained: cells that were trained now.
        known: cells that were trained before.
        failed: trainings, of cells or extractors, that came to no good end.
    """

    tables: list[Table]
    listings: int
    trained: int
    known: int
    failed: int


def reproduce(
    dataset: Dataset,
    out: Path,
    *,
    backbone: DivisibleBackbone,
    wanted: Grid,
    cache: FeatureCache | None,
    watch: Watch,
) -> Reproduction:
    """Train what the tables need and is not in `out` yet, and write the tables there.

    Args:
        dataset: listings with photos and prices.
        out: folder of the outcomes and the pages; each cell is kept as soon as it is done.
        backbone: the pretrained image network.
        wanted: tables, seeds and plan.
        cache: image features that need not be computed again.
        watch: told of progress.

    Raises:
        DatasetError: there is too little to learn from, or the oracle's file is damaged.
        TrainingError: a process of several was ended from outside.
        WeightsMissingError: the backbone's weights are not on this machine.
        ModelsError: `out` or the cache cannot be written.
    """
    listings = draw_listings(dataset, wanted.limit, 0)
    check_prices(dataset, listings)  # before the photos, which may take hours
    _make(out)
    oracle = read_oracle(dataset.folder)
    source = Source(
        dataset=dataset,
        listings=listings,
        backbone=backbone,
        depth=wanted.depth,
        cache=cache,
    )
    worth = photo_worth(listings, oracle)
    cells = grid(wanted.tables, wanted.seeds, perfect=worth is not None)
    data: dict[tuple[FeatureSet, int], Prepared] = {}
    untrained: dict[tuple[FeatureSet, int], Outcome] = {}
    needed = {FeatureSet.PRETRAINED} | {cell.setting.features for cell in cells}
    for features in (each for each in FeatureSet if each in needed - {FeatureSet.PERFECT}):
        for seed, found in source.data(features, wanted.seeds, watch.stage):
            if isinstance(found, TrainingError):
                untrained[features, seed] = Outcome(measures=None, error=str(found), seconds=0.0)
            else:
                data[features, seed] = prepare(found, oracle, out / DATA_FOLDER)
                if features is FeatureSet.PRETRAINED and worth is not None:
                    read = perfectly_read(found, worth)
                    data[FeatureSet.PERFECT, seed] = prepare(read, oracle, out / DATA_FOLDER)

    first = data[FeatureSet.PRETRAINED, 0].data
    conditions = _conditions(wanted, len(first.train))
    store = CellStore(out / CELLS_FOLDER, conditions)
    work = Work(data, conditions, store)
    outcomes = {
        cell: error
        for cell in cells
        if (error := untrained.get((cell.setting.features, cell.seed))) is not None
    }
    # where the plan is the paper's, several cells are the same training
    files = {cell: work.file(cell) for cell in cells if cell not in outcomes}
    first_of = {file: cell for cell, file in reversed(files.items())}
    trained = {
        file: outcome for file, cell in first_of.items() if (outcome := work.done(cell)) is not None
    }
    known = {first_of[file]: outcome for file, outcome in trained.items()}
    left = [cell for cell, file in files.items() if first_of[file] == cell and file not in trained]
    watch.begin(left, known, wanted.jobs)
    for cell, outcome in train_cells(work, left, jobs=wanted.jobs, steps=watch.steps):
        trained[files[cell]] = outcome
        watch.done(cell, outcome)
    outcomes |= {cell: trained[file] for cell, file in files.items()}

    by_setting: dict[Setting, list[Outcome]] = {}
    for cell in cells:
        by_setting.setdefault(cell.setting, []).append(outcomes[cell])
    tables = [
        parts_table(first) if number == 1 else TABLE_BY_NUMBER[number](by_setting)
        for number in wanted.tables
    ]
    notes = list(_notes(source, wanted, bound=FeatureSet.PERFECT in needed))
    write_pages(
        out,
        f"What came out on {dataset.name}",
        _facts(source, wanted, conditions),
        notes,
        tables,
    )
    for file in {prepared.file for prepared in data.values()}:
        file.unlink(missing_ok=True)  # it only served the processes
    with suppress(OSError):  # it was there before, with other files
        (out / DATA_FOLDER).rmdir()
    return Reproduction(
        tables=tables,
        listings=len(listings),
        trained=len(left),
        known=len(known),
        failed=sum(one.error is not None for one in (*trained.values(), *untrained.values())),
    )


def _conditions(wanted: Grid, items: int) -> Conditions:
    plans = [wanted.plan or quick_plan(items), wanted.plan or network_plan(items)]
    if wanted.quick:
        plans = [_shortened(plan) for plan in plans]
    return Conditions(plan=plans[0], network_plan=plans[1], paper_gate=wanted.paper_gate)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelsError(f"{folder} cannot be written: {error.strerror}") from None


def _shortened(plan: Plan) -> Plan:
    first, second, third, fourth = (max(1, round(QUICK_SHARE * n)) if n else 0 for n in plan.epochs)
    return replace(plan, epochs=(first, second, third, fourth))


def _facts(source: Source, wanted: Grid, conditions: Conditions) -> dict[str, str]:
    ours, plain = conditions.plan, conditions.network_plan
    return {
        "dataset": f"{source.dataset.name}, {len(source.listings):,} listings",
        "split": "by time" if has_times(source.listings) else "at random, by photo and seller",
        "image network": source.backbone.name,
        "extractors of Table 4 tune": source.depth,
        "epochs of the four parts": _epochs(ours),
        "the same without a kernel": _epochs(plain),
        "batch, price networks": f"{plain.batch_size}, {plain.members}",
        "gate of the percentile rule": "f_cls = 0.5"
        if conditions.paper_gate
        else "the share of the validation part",
        "seeds": str(wanted.seeds),
    }


def _epochs(plan: Plan) -> str:
    return " + ".join(map(str, plan.epochs))


def _notes(source: Source, wanted: Grid, *, bound: bool) -> Iterator[str]:
    yield (
        "With e = ln(suggested / sold), MALE is the mean of |e| and RMSLE the root of the mean of "
        "e² over the positives: the listings of the test part that are answered with a price, "
        "with a rational price of their own. Their share is of all listings of the test part; a "
        "listing without a sound photo is never positive. AURC is the area under the "
        "risk-coverage curve of |e|."
    )
    if wanted.seeds > 1:
        same = "the same split, by time, and" if has_times(source.listings) else "another split and"
        yield (
            f"Figures are mean ± standard deviation over {wanted.seeds} seeds: each has {same} "
            "other weights and batches. Differences are taken seed by seed; within the noise is "
            "what is less than two standard errors off 0."
        )
    if not wanted.plan:
        yield (
            "The joint networks begin as the answers of a kernel regression, which is ours, in "
            "all of Tables 2 to 4 and where it is not said otherwise. In Table 5 and the other "
            "ways of Table 6 networks begin with nothing, as in the paper, and train longer. The "
            "kernel learns from the validation part as well, all others from the training part."
        )
    if bound:
        yield (
            "Perfect reading of the photo is the joint networks with one number in place of the "
            "image features: what all that can be seen of the thing is worth, as the simulator "
            "knows it. What that misses of the oracle is not to be won by seeing the thing better."
        )
    if wanted.quick:
        yield "These are quick runs with a quarter of the epochs: a sign that all works, no more."
    yield (
        "The paper's figures are of 97,580 listings of another platform: only their direction "
        "is to be compared."
    )
