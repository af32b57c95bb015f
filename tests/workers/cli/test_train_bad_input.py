"""What cannot be trained on is said in one sentence, and leaves nothing like a bundle."""

import csv
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from models.bundle.folder import read_bundle
from schemas.dataset import LISTING_COLUMNS
from workers.cli import train as train_command
from workers.cli.main import run

Row = dict[str, str]
Change = Callable[[int, Row], None]


@pytest.fixture(autouse=True)
def surroundings(colour_backbone: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(train_command, "backbone", lambda _: colour_backbone)


@pytest.fixture(scope="module")
def market(write_market: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("market") / "small"
    write_market(folder, count=120, seed=4, timed=False)
    return folder


@pytest.fixture
def changed(market: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes the market anew: `changed(change, keep=None)`."""

    def write(change: Change, keep: int | None = None) -> Path:
        folder = tmp_path / "changed"
        shutil.copytree(market, folder)
        with (market / "listings.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))[:keep]
        for number, row in enumerate(rows):
            change(number, row)
        with (folder / "listings.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, LISTING_COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        return folder

    return write


@pytest.fixture
def train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Trains to `out/bundle`; returns the exit code and the last line told."""

    def command(dataset: Path, schedule: str = "12,0,4,0") -> tuple[int, str]:
        out = tmp_path / "out" / "bundle"
        arguments = ["train", "--dataset", str(dataset), "--out", str(out), "--json"]
        code = run([*arguments, "--schedule", schedule])
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return code, (told.out or told.err).splitlines()[-1]

    return command


def left(tmp_path: Path) -> list[str]:
    """What there is where the bundle should have been."""
    out = tmp_path / "out"
    return [path.name for path in out.iterdir()] if out.exists() else []


def with_(**cells: str) -> Change:
    return lambda _, row: row.update(cells)


def mixed(number: int, row: Row) -> None:
    row["currency"] = "GBP" if number % 2 else "EUR"


def almost_all_of_one_price(number: int, row: Row) -> None:
    row["price"] = "12.50" if number else "999999"


def unchanged(number: int, row: Row) -> None:
    """Leave a row as it is."""


@pytest.mark.parametrize(
    ("change", "keep", "message"),
    [
        (with_(price=""), None, "no listing with a price"),
        (with_(price="0"), None, "no listing with a price"),
        (with_(price="12.50"), None, "all prices are the same"),
        (almost_all_of_one_price, None, "rational prices of the training part are the same"),
        (mixed, None, "prices in EUR, GBP: a bundle prices in one currency"),
        (with_(image="images/none.jpg"), None, "not one photo can be read"),
        (with_(image=""), None, "not one photo can be read"),
        (with_(image="images/7.jpg"), None, "seen in no other part"),
        (unchanged, 10, "10 of 10 listings have a price: at least 40 to train on and 10"),
        (unchanged, 0, "has no rows"),
    ],
)
def test_what_cannot_be_learnt_from(
    train: Callable[..., tuple[int, str]],
    changed: Callable[..., Path],
    tmp_path: Path,
    change: Change,
    keep: int | None,
    message: str,
) -> None:
    code, told = train(changed(change, keep))
    assert code == 3
    assert told.startswith("error: ")
    assert message in told
    assert left(tmp_path) == []


def test_prices_are_looked_at_before_photos(
    changed: Callable[..., Path],
    train: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.training.look_at_photos", lambda *_, **__: pytest.fail("photos"))
    assert train(changed(with_(price="12.50")))[0] == 3


def backbone_like(colours: Any, network: torch.nn.Module, **other: Any) -> SimpleNamespace:
    """The colour backbone with another network."""
    names = ("name", "width", "input_size", "fingerprint", "preprocessing", "preprocess")
    same = {name: getattr(colours, name) for name in names}
    return SimpleNamespace(**same | {"build": network.eval} | other)


class LogOfWhatIsLeft(torch.nn.Module):
    """Of red photos it gives no number."""

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        return torch.log(0.4 - torch.nn.functional.adaptive_avg_pool2d(photos, 2).flatten(1))


def test_features_that_are_not_finite(
    train: Callable[..., tuple[int, str]],
    market: Path,
    colour_backbone: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = backbone_like(colour_backbone, LogOfWhatIsLeft())
    monkeypatch.setattr(train_command, "backbone", lambda _: broken)
    monkeypatch.setattr("models.extractors.onnx_runtime.EXPORT_TOLERANCE", np.inf)
    code, told = train(market)
    assert code == 3
    assert "image features are not finite" in told
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("labels", "levels"),
    [
        ({"category": "Only"}, ("Only",)),
        ({"category": "", "brand": "", "attributes": "", "specifications": ""}, ()),
    ],
)
def test_one_category_is_enough_and_so_are_no_labels_at_all(
    train: Callable[..., tuple[int, str]],
    changed: Callable[..., Path],
    tmp_path: Path,
    labels: Row,
    levels: tuple[str, ...],
) -> None:
    code, told = train(changed(with_(**labels)))
    assert (code, told[0]) == (0, "{")
    assert read_bundle(tmp_path / "out" / "bundle").manifest.category_levels == levels


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file can grow beyond 100 kB: the kernel refuses it, as it does when a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("large", [True, False])
def test_a_disk_that_fills_leaves_nothing_and_a_retry_may_help(
    train: Callable[..., tuple[int, str]],
    market: Path,
    colour_backbone: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    large: bool,
) -> None:
    if large:  # then the file of the image network fails, else the heads, when all is trained
        pooled = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(8), torch.nn.Flatten())
        network = torch.nn.Sequential(pooled, torch.nn.Linear(192, 160))
        backbone = backbone_like(colour_backbone, network, width=160)
        monkeypatch.setattr(train_command, "backbone", lambda _: backbone)
    code, told = train(market)
    assert code == 1
    assert told.startswith(f"error: {tmp_path / 'out' / 'bundle'} was not written")
    assert "File too large" in told
    assert left(tmp_path) == []


def test_a_disk_that_fills_keeps_the_older_bundle(
    train: Callable[..., tuple[int, str]],
    market: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    assert train(market)[0] == 0
    older = read_bundle(tmp_path / "out" / "bundle").manifest
    request.getfixturevalue("full_disk")
    assert train(market, "13,0,4,0")[0] == 1
    assert left(tmp_path) == ["bundle"]
    assert read_bundle(tmp_path / "out" / "bundle").manifest == older
