"""`secondsight inspect bundle` on a bundle that is whole, and on one that is not."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.bundle.folder import read_bundle, write_manifest
from models.bundle.lineage import Lineage
from tests.red_bundle import write_red_bundle
from workers.cli.inspect import inspect


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = write_red_bundle(tmp_path / "red")
    measured = {"priced": 33, "all": {"male": 0.25, "by_category": {"Toys": {"male": 9.0}}}}
    write_manifest(folder, read_bundle(folder).manifest.model_copy(update={"metrics": measured}))
    return folder


def test_people_see_what_it_is_and_how_it_measured(bundle: Path) -> None:
    manifest = read_bundle(bundle).manifest
    size = sum((bundle / name).stat().st_size for name in manifest.files)

    lines = CliRunner().invoke(inspect, ["bundle", str(bundle)]).stdout.splitlines()

    assert f"version      {manifest.model_version}" in lines
    assert f"whole        {len(manifest.files)} files, {size / 1e6:.1f} MB" in "".join(lines)
    assert "images       red: 3 features" in lines
    assert "measured     all: male 0.25" in lines
    assert "measured     test part: priced 33" in lines


def test_people_see_where_a_retrained_one_comes_from(bundle: Path) -> None:
    at = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
    lineage = Lineage(
        parent="m1",
        code="0.1.0+abc",
        made_at=at,
        trained_until=at - timedelta(days=30),
        listed_until=at - timedelta(days=20),
        extractors_trained_at=at - timedelta(days=60),
        began_as="as m1",
        verdict={"publish": True, "checks": {"coverage": "51.0% are accepted"}},
    )
    manifest = read_bundle(bundle).manifest.model_copy(update={"lineage": lineage})
    write_manifest(bundle, manifest)

    lines = CliRunner().invoke(inspect, ["bundle", str(bundle)]).stdout.splitlines()

    assert "follows      m1" in lines
    assert "made         2026-05-01 12:30 UTC by 0.1.0+abc" in lines
    assert "knows        listings up to 2026-04-11 12:30 UTC" in lines
    assert "extractors   trained 2026-03-02" in lines
    assert "heads        began as m1" in lines
    assert "gate         coverage: 51.0% are accepted" in lines


def test_programs_get_the_whole_manifest(bundle: Path) -> None:
    printed = CliRunner().invoke(inspect, ["bundle", str(bundle), "--json"]).stdout
    found = json.loads(printed)
    files = json.loads((bundle / "bundle.json").read_text())["files"]
    assert found.pop("size_bytes") == sum((bundle / name).stat().st_size for name in files)
    assert found == json.loads((bundle / "bundle.json").read_text())


def test_one_that_is_not_whole_is_refused(bundle: Path) -> None:
    (bundle / "heads.onnx").write_bytes(b"other")
    result = CliRunner().invoke(inspect, ["bundle", str(bundle)])
    assert "heads.onnx" in str(result.exception)
    assert getattr(result.exception, "exit_code", None) == 3
