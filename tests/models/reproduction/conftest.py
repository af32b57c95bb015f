"""A small grid on a small market, trained once for all tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from models.dataset.photos import look_at_photos
from models.dataset.reader import read_dataset
from models.dataset.rows import Dataset
from models.joint.trainer import Plan
from models.reproduction.cell import Outcome
from models.reproduction.grid import Cell
from models.reproduction.reproduce import Grid, Reproduction, reproduce
from models.training_data import TrainingData, prepare_training

SHORT = Plan(
    epochs=(5, 1, 2, 1),
    batch_size=64,
    dropout=0.1,
    weight_decay=0.01,
    members=2,
    beta=None,
    keep_best=True,
)


@dataclass
class Recorder:
    """Keeps what it is told; `on_begin` and `on_done` may end the run."""

    stages: list[str] = field(default_factory=list)
    left: list[Cell] = field(default_factory=list)
    outcomes: dict[Cell, Outcome] = field(default_factory=dict)
    on_begin: Callable[[], None] = lambda: None
    on_done: Callable[[Cell], None] = lambda cell: None

    def stage(self, name: str, done: int, total: int) -> None:
        self.stages.append(name)

    def begin(self, left: Sequence[Cell], known: Mapping[Cell, Outcome], jobs: int) -> None:
        self.left = list(left)
        self.on_begin()

    def steps(self, cell: Cell, done: int, total: int) -> None:
        assert 0 <= done <= total

    def done(self, cell: Cell, outcome: Outcome) -> None:
        self.outcomes[cell] = outcome
        self.on_done(cell)


@pytest.fixture(scope="session")
def short() -> Plan:
    return SHORT


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="session")
def dataset(write_market: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """160 listings without times or sellers."""
    folder = tmp_path_factory.mktemp("m") / "few"
    return read_dataset(write_market(folder, count=160, seed=4, timed=False).folder)


@pytest.fixture(scope="session")
def data(dataset: Dataset, backbone: Any) -> TrainingData:
    """The parts of the market by seed 0."""
    photos = look_at_photos(dataset.listings, backbone)
    return prepare_training(dataset, dataset.listings, photos, seed=0)


@pytest.fixture(scope="session")
def run(dataset: Dataset, backbone: Any) -> Callable[..., Reproduction]:
    """Makes tables: `run(out, watch, tables=(5,), seeds=1, ...)`."""

    def make(out: Path, watch: Any, **options: Any) -> Reproduction:
        wanted = Grid(**{"tables": (5,), "seeds": 1, "plan": SHORT, **options})
        return reproduce(dataset, out, backbone=backbone, wanted=wanted, cache=None, watch=watch)

    return make


@dataclass(frozen=True)
class Made:
    """What a run came to, and where."""

    out: Path
    found: Reproduction
    told: Recorder


@pytest.fixture(scope="session")
def made(run: Callable[..., Reproduction], tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Tables 1 and 5 with two seeds, not to be changed."""
    out = tmp_path_factory.mktemp("made") / "out"
    told = Recorder()
    return Made(out, run(out, told, tables=(1, 5), seeds=2), told)
