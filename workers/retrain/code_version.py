"""Which program made a bundle."""

import subprocess
from importlib.metadata import version
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def code_version() -> str:
    """Return the version of this package, and the commit where it runs from a clone."""
    package = version("secondsight")
    if not (_ROOT / ".git").exists():
        return package
    try:
        commit = subprocess.run(
            ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):  # no git, or another user's clone
        return package
    return f"{package}+{commit}" if commit else package
