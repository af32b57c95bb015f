"""`secondsight drift` as it is typed, and as a process that stays."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.workers.drift.conftest import NOW, Watched
from workers.cli.main import run
from workers.registry.reports import RetrainRecords

DEADLINE_S = 60


@pytest.fixture
def environment(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings of the place, with the later examples of a new category, known as of now."""
    later = datetime.now(UTC) - NOW
    watched.places.examples.append(
        each.model_copy(
            update={
                "revision": 9,
                "model_version": watched.version,
                "category": "Home > New",
                "listed_at": each.listed_at + later,
                "known_at": each.known_at + later,
                "sold_at": each.sold_at and each.sold_at + later,
            }
        )
        for each in watched.later
    )
    places = watched.places
    settings = {
        "SECONDSIGHT_EXAMPLES_URL": str(Path(places.registry_url).parent / "examples"),
        "SECONDSIGHT_MODEL_REGISTRY": places.registry_url,
        "SECONDSIGHT_RETRAIN_FOLDER": str(Path(places.registry_url).parent / "shelf"),
        "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": places.options.bootstrap_servers,
        "SECONDSIGHT_TOPIC_PREFIX": places.topic.removesuffix("models"),
        "SECONDSIGHT_IMAGE_FILE_ROOTS": str(Path(watched.later[0].images[0].uri[7:]).parents[1]),
        "SECONDSIGHT_DRIFT_DAYS": "90",
        "SECONDSIGHT_HEALTH_PORT": "0",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return settings


def test_one_look_prints_a_line_and_writes_a_page(
    watched: Watched,
    environment: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "drift.html"
    assert run(["drift", "--json", "--html", str(page)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["model_version"] == watched.version
    assert {each["name"] for each in found["columns"] if each["beyond"]} >= {"category"}
    assert found["requested"] is True
    assert RetrainRecords(environment["SECONDSIGHT_MODEL_REGISTRY"]).requests() == ["drift"]
    assert watched.version in page.read_text()

    assert run(["drift"]) == 0
    assert "NO  category" in capsys.readouterr().out


def test_without_a_registry_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SECONDSIGHT_MODEL_REGISTRY", raising=False)
    assert run(["drift"]) == 3
    assert "SECONDSIGHT_MODEL_REGISTRY" in capsys.readouterr().err


def test_it_stays_shows_metrics_and_leaves_when_told(environment: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "workers.cli.main", "drift", "--every", "3600"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            assert process.stdout is not None
            port = next(
                int(found[1])
                for line in process.stderr
                if (found := re.search(r'"port": (\d+)', line))
            )
            drained = process.stdout.readline()  # the report: the first look is done
            assert drained.startswith("drift: PSI over 0.2 of category")
            shown = ""
            while "secondsight_drift_requests_total 1.0" not in shown:
                assert process.poll() is None
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
                    shown = page.read().decode()
            assert 'secondsight_drift_psi{column="category"}' in shown
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()
