"""A short run of the benchmark of retraining: nothing is fetched, and the last line says it all."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_short_run() -> None:
    command = [sys.executable, "benchmarks/retrain.py", "--examples", "900", "--champion", "700"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["examples"], found["features"]) == (900, 1960)
    assert found["began_as_champion"] is True
    assert found["share_of_limit"] == round(found["minutes"] / 10, 3)
    assert "judged on" in done.stderr
