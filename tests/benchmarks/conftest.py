"""Benchmarks as they are run: a process that prints its figures last."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))  # benchmarks are programs, not an installed package


@pytest.fixture
def figures_of() -> Callable[..., dict[str, Any]]:
    """Runs a benchmark and returns its figures: `figures_of("stats.py", "--sales", "1000")`."""

    def run(name: str, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, str(ROOT / "benchmarks" / name), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=250,
        )
        assert done.returncode == 0, done.stderr
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return figures

    return run
