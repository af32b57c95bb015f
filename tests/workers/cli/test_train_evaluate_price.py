"""The commands of a model one after another, on a small market and a backbone without weights."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from models.errors import BundleError, DatasetError, ModelsError
from models.extractors.errors import UnknownBackboneError
from models.extractors.registry import backbone
from schemas.dataset import LISTING_COLUMNS
from workers.cli import evaluate as evaluate_command
from workers.cli import price as price_command
from workers.cli import report as report_command
from workers.cli import train as train_command
from workers.errors import ConfigurationError, WorkersError


def run(command: Callable[..., Any], *arguments: object, code: int = 0) -> Any:
    """Run a command as the command line does; errors of ours are raised."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == code, found.output
    return found


@pytest.fixture(scope="module")
def market(write_market: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 listings: the redder, the dearer; the first one is named again in the last row."""
    folder = tmp_path_factory.mktemp("market") / "l"
    write_market(folder, count=200, seed=0, timed=False)
    with (folder / "listings.csv").open("a", newline="") as stream:
        csv.DictWriter(stream, LISTING_COLUMNS, restval="").writerow({"listing_id": "l-0"})
    return folder


@pytest.fixture(autouse=True, scope="module")
def surroundings(colour_backbone: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(
            train_command,
            "backbone",
            lambda name: colour_backbone if name == "lite2" else backbone(name),
        )
        yield


@pytest.fixture(scope="module")
def trained(market: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    bundle = tmp_path_factory.mktemp("bundle") / "b"
    found = run(
        train_command.train,
        *("--dataset", market, "--out", bundle, "--delta", 0.6, "--seed", 3, "--json"),
        *("--schedule", "20,5,10,5"),
    )
    return bundle, found


def test_train_prints_one_line_of_json_and_the_stages(trained: tuple[Path, Any]) -> None:
    bundle, found = trained
    (line,) = found.stdout.splitlines()
    metrics = json.loads(line)
    assert metrics["model_version"].startswith("colours-percentile-")
    assert metrics["listings"] == 20
    assert 0 < metrics["coverage"] < 1
    for stage in ("reading", "photos", "warm-up", "joint", "test"):
        assert stage in found.stderr
    assert "was in line 2 already" in found.stderr
    manifest = json.loads((bundle / "bundle.json").read_text())
    assert manifest["training"]["epochs"] == [20, 5, 10, 5]
    assert manifest["training"]["seed"] == 3
    assert manifest["rule"]["delta"] == 0.6


def test_train_extractors_and_say_how_well_they_do(market: Path, tmp_path: Path) -> None:
    arguments = ("--dataset", market, "--out", tmp_path / "b", "--delta", 0.6, "--seed", 3)
    schedule = ("--schedule", "20,5,10,5", "--extractor", "frozen", "--extractor-epochs", 2)
    found = run(train_command.train, *arguments, *schedule, "--tasks", "brand, category")
    assert "category extractor: 150 labelled listings, 2 classes, the largest" in found.stdout
    assert "; top-1 0." in found.stdout
    assert "brand extractor: left out, no label that 10 listings" in found.stdout
    assert "pretrained ones" not in found.stdout
    only_brand = run(train_command.train, *arguments, *schedule, "--tasks", "brand")
    assert "no task has labels enough: the features are the pretrained ones" in only_brand.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--extractor", "frozen", "--tasks", "colour"), "'colour' is none of the tasks category"),
        (("--tasks", "brand"), "nothing is tuned"),
        (("--no-base",), "nothing is tuned"),
        (("--extractor", "last", "--tasks", "brand", "--stfe"), "takes the place"),
    ],
)
def test_options_of_extractors_that_do_not_fit(
    market: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    arguments = ("--dataset", market, "--out", tmp_path / "b", *options)
    assert message in run(train_command.train, *arguments, code=2).stderr


def test_evaluate_prints_the_measures_and_writes_predictions(
    trained: tuple[Path, Any], market: Path, tmp_path: Path
) -> None:
    bundle, _ = trained
    arguments = ("--bundle", bundle, "--dataset", market, "--predictions", tmp_path / "p.csv")
    metrics = json.loads(run(evaluate_command.evaluate, *arguments, "--json").stdout)
    assert list(metrics) == [
        "listings",
        "priced",
        "accepted",
        "coverage",
        "all",
        "accepted_only",
        "interval",
        "risk_coverage",
        "confidence",
        "oracle",
    ]
    assert metrics["listings"] == 200
    with (tmp_path / "p.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["listing_id"] for row in rows] == [f"l-{number}" for number in range(200)]
    assert sum(row["decision"] == "price" for row in rows) == metrics["accepted"]
    table = run(evaluate_command.evaluate, *arguments).stdout
    assert f"priced {metrics['accepted']} of 200 listings" in table
    assert f"{metrics['all']['male']:.3f}" in table
    assert f"curve: {metrics['risk_coverage']['male_area']:.3f} by MALE" in table
    assert f"factor of 1.65, is off by {100 * metrics['confidence']['error']:.1f}" in table
    home = metrics["interval"]["by_category"]["Home"]
    assert f"Home {home['coverage']:.1%} of {home['count']} (" in table
    assert "who knows the price law" not in table
    assert metrics["oracle"] is None


@pytest.fixture(scope="module")
def evaluated(
    trained: tuple[Path, Any], market: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, str]]:
    """An accepted and a refused listing, with their rows of predictions and their category."""
    path = tmp_path_factory.mktemp("predictions") / "p.csv"
    run(
        evaluate_command.evaluate,
        *("--bundle", trained[0], "--dataset", market, "--predictions", path),
    )
    with (market / "listings.csv").open(newline="") as stream:
        category = {row["listing_id"]: row["category"] for row in csv.DictReader(stream)}
    found = {}
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            if row["listing_id"] != "l-0":
                photo = str(market / f"images/{row['listing_id'][2:]}.jpg")
                extra = {"photo": photo, "category": category[row["listing_id"]]}
                found[row["decision"]] = row | extra
    assert set(found) == {"price", "reupload"}
    return found


def asked(bundle: Path, row: dict[str, str], *more: object) -> str:
    arguments = (row["photo"], "--category", row["category"], "--bundle", bundle, *more)
    return str(run(price_command.price, *arguments).stdout)


def test_price_gives_what_evaluation_gives(
    trained: tuple[Path, Any], evaluated: dict[str, dict[str, str]]
) -> None:
    row = evaluated["price"]
    suggestion = json.loads(asked(trained[0], row, "--json"))
    assert suggestion["decision"] == "price"
    for name in ("price", "low", "high"):
        assert suggestion[f"{name}_minor"] == pytest.approx(round(float(row[name]) * 100), abs=1)
    assert suggestion["confidence"] == pytest.approx(float(row["confidence"]), abs=1e-4)
    assert suggestion["currency"] == "GBP"
    request = json.loads(asked(trained[0], evaluated["reupload"], "--json"))
    assert request["decision"] == "reupload"
    assert [reason["code"] for reason in request["reasons"]] == ["inadequate_information"]


def test_price_speaks_to_people(
    trained: tuple[Path, Any], evaluated: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    bundle, _ = trained
    text = asked(bundle, evaluated["price"])
    assert text.startswith("Ask ")
    assert f"{float(evaluated['price']['price']):.0f} GBP (" in text
    sure = float(evaluated["price"]["confidence"])
    assert f"{sure:.0%} likely to sell within a factor of 1.65 of it" in text
    assert asked(bundle, evaluated["reupload"]).startswith("A better photo is needed:\n")
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    told = run(price_command.price, tmp_path / "broken.jpg", "--bundle", bundle).stdout
    assert "broken.jpg: This photo could not be opened." in told


def test_a_bad_photo_beside_a_good_one_is_left_out(
    trained: tuple[Path, Any], evaluated: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    for decision, row in evaluated.items():
        alone = json.loads(asked(trained[0], row, "--json"))
        both = json.loads(asked(trained[0], row, tmp_path / "broken.jpg", "--json"))
        if decision == "price":
            assert both == alone
        else:
            assert [reason["code"] for reason in both["reasons"]] == ["unreadable"]


@pytest.mark.parametrize("schedule", ["1,2,3", "a,b,c,d", "0,0,0,0", "1,2,3,-4"])
def test_a_schedule_that_makes_no_sense_is_wrong_usage(
    schedule: str, market: Path, tmp_path: Path
) -> None:
    found = run(
        train_command.train,
        *("--dataset", market, "--out", tmp_path / "b", "--schedule", schedule),
        code=2,
    )
    assert "four numbers of epochs" in found.stderr
    assert not (tmp_path / "b").exists()


def test_what_cannot_work_is_said(trained: tuple[Path, Any], market: Path, tmp_path: Path) -> None:
    bundle, _ = trained
    with pytest.raises(DatasetError, match="is not a folder"):
        run(evaluate_command.evaluate, "--bundle", bundle, "--dataset", tmp_path / "none")
    with pytest.raises(ModelsError, match=r"none\.jpg cannot be read"):
        run(price_command.price, tmp_path / "none.jpg", "--bundle", bundle)
    damaged = shutil.copytree(bundle, tmp_path / "damaged")
    with (damaged / "heads.onnx").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(BundleError, match=r"heads\.onnx is not the file"):
        run(evaluate_command.evaluate, "--bundle", damaged, "--dataset", market)

    with pytest.raises(UnknownBackboneError, match="no backbone is named 'vgg'"):
        run(
            train_command.train,
            *("--dataset", market, "--out", tmp_path / "b", "--backbone", "vgg"),
        )


def test_report_writes_the_page_whole(
    trained: tuple[Path, Any], market: Path, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    out.write_text("an older page")
    arguments = ("--bundle", trained[0], "--dataset", market, "--out", out)
    found = run(report_command.report, *arguments)
    page = out.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>")
    assert "Take it by a window" in page or "Show the whole item from the front" in page
    assert list(tmp_path.iterdir()) == [out]
    for stage in ("reading", "photos", "drawing"):
        assert stage in found.stderr
    assert "was in line 2 already" in found.stderr
    # of the 20 that were kept apart; all of them are no more than asked for
    metrics = json.loads(trained[1].stdout)
    assert f"{metrics['accepted']:,} of 20 listings" in page
    run(report_command.report, *arguments, "--all")
    assert "of 200 listings" in out.read_text(encoding="utf-8")


def test_report_says_what_is_wrong_with_where_it_shall_write(
    trained: tuple[Path, Any], market: Path, tmp_path: Path
) -> None:
    arguments = ("--bundle", trained[0], "--dataset", market, "--out")
    told = run(report_command.report, *arguments, tmp_path, code=2).stderr
    assert "Invalid value for '--out'" in told
    with pytest.raises(ConfigurationError, match="nowhere is not a folder"):
        run(report_command.report, *arguments, tmp_path / "nowhere" / "page.html")
    with pytest.raises(WorkersError, match="cannot be written: File name too long"):
        run(report_command.report, *arguments, tmp_path / f"{'x' * 300}.html")
    with pytest.raises(BundleError, match="is not a folder"):
        run(
            report_command.report,
            *("--bundle", tmp_path / "none", "--dataset", market),
            *("--out", tmp_path / "page.html"),
        )
    assert list(tmp_path.iterdir()) == []
