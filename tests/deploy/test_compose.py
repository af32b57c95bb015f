"""What docker compose starts: commands that exist, settings that are taken, files that exist."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.promtool import promtool
from workers.cli.main import COMMANDS
from workers.runtime.settings import Settings

FOLDER = Path(__file__).parents[2] / "deploy" / "docker"
COMPOSE: Any = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: each for name, each in SERVICES.items() if "build" in each}


def test_all_workers_are_there() -> None:
    assert OURS.keys() == {"topics", "stats", "suggest", "outcomes"}


@pytest.mark.parametrize("name", OURS)
def test_a_worker_is_told_what_it_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [command] = SERVICES[name]["command"]
    assert command == name
    assert command in COMMANDS
    for variable, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(variable, value)
    settings = Settings()
    grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert settings.shutdown_grace_ms / 1000 < grace
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    mounted = {each.split(":")[1] for each in SERVICES[name].get("volumes", ())}
    needed = {"stats": {"/state"}, "outcomes": {"/state", "/shared"}, "suggest": {"/shared"}}
    assert needed.get(name, set()) <= mounted


def test_every_file_and_volume_that_is_mounted_is_there() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (FOLDER / source).is_file(), (name, source)
            else:
                assert source in COMPOSE["volumes"], (name, source)


def test_what_is_open_is_open_to_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_prometheus_takes_its_configuration() -> None:
    done = subprocess.run(
        [promtool(), "check", "config", "prometheus.yaml"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rule" in done.stdout


def test_prometheus_asks_every_worker() -> None:
    scraped: Any = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"][0]
    targets = {each for group in scraped["static_configs"] for each in group["targets"]}
    workers = {"stats", "suggest", "outcomes"}
    assert targets == {f"{name}:8080" for name in workers}
