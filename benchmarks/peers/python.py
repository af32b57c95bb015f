"""Environments of their own for the peers in Python: nothing of theirs is a dependency of ours."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from workers.local.jars import cache_folder

HERE = Path(__file__).parent


def peer_python(name: str, say: Callable[[str], None]) -> str:
    """Return the interpreter of a peer's environment, which is made in the user's cache at need.

    Raises:
        SystemExit: it could not be made.
    """
    folder = cache_folder().parent / "peers" / name
    requirements = HERE / f"requirements-{name}.txt"
    wanted = requirements.read_text(encoding="utf-8")
    made = folder / "made-of.txt"  # written last: without it the environment is not whole
    if not made.exists() or made.read_text(encoding="utf-8") != wanted:
        say(f"Installing {name} into an environment of its own, once")
        python = str(folder / "bin" / "python")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [*pip, "--requirement", str(requirements)],
        ):
            if subprocess.run(command, stdout=sys.stderr.fileno(), check=False).returncode != 0:
                raise SystemExit(f"{name} could not be installed; leave it out with --only")
        made.write_text(wanted, encoding="utf-8")
    return str(folder / "bin" / "python")
