"""Prometheus' own tool for rules: the one on the PATH, else that of Debian's package."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


def promtool() -> Path:
    """Return promtool; the package is unpacked into the user's cache, not installed.

    Skips the test where neither is to be had.
    """
    found = shutil.which("promtool")
    if found is not None:
        return Path(found)
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    unpacked = Path(root) / "secondsight" / "prometheus"
    if not unpacked.is_dir():
        if shutil.which("apt-get") is None:
            pytest.skip("there is no promtool, and no apt-get to fetch Debian's package prometheus")
        _unpack(unpacked)
    return unpacked / "usr" / "bin" / "promtool"


def _unpack(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as aside:
        for attempt in ("download prometheus", "update", "download prometheus"):
            done = subprocess.run(
                ["apt-get", "--quiet", *attempt.split()],
                cwd=aside,
                capture_output=True,
                text=True,
                check=False,
            )
            packages = list(Path(aside).glob("prometheus_*.deb"))
            if packages:
                break
        else:
            pytest.skip(f"Debian's package prometheus cannot be fetched: {done.stderr.strip()}")
        files = Path(aside) / "files"
        subprocess.run(["dpkg", "-x", packages[0], files], check=True)
        files.rename(target)
