"""What the CPU image installs: all that the workers need, without torch and what rests on it."""

import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"

# Of what pyproject.toml names as options: as in `pip install 'secondsight[s3,otel]'`.
OPTIONS = ("s3", "otel")
TORCH = "torch"

_HEAD = """\
# Made by `make manifests`: what the CPU image installs, with the versions of constraints.txt. It is
# all that secondsight depends on but for what needs torch: the workers do without it on a CPU, and
# from the package index torch brings 5 GB of CUDA.
"""


def serving_txt() -> str:
    """Return serving.txt, the pinned requirements of the CPU image, by name.

    The versions are those installed here, as `make` installs them from constraints.txt.
    """
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    options = (project["optional-dependencies"][option] for option in OPTIONS)
    direct = [*project["dependencies"], *(line for lines in options for line in lines)]
    without_torch = [line for line in direct if TORCH not in _needed([line])]
    names = sorted(_needed(without_torch))
    return _HEAD + "".join(f"{name}=={version(name)}\n" for name in names)


def _needed(lines: Iterable[str]) -> frozenset[str]:
    """Return the distributions that requirements bring on this platform, by their plain names."""
    found = set[str]()
    waiting = [(line, frozenset[str]()) for line in lines]
    seen = set(waiting)
    while waiting:
        line, extras = waiting.pop()
        requirement = Requirement(line)
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": each}) for each in (*extras, "")):
            continue
        name = canonicalize_name(requirement.name)
        found.add(name)
        asked = frozenset(requirement.extras)
        try:
            further = {(each, asked) for each in requires(name) or ()}
        except PackageNotFoundError as error:
            raise LookupError(f"{name} is not installed here: `make` does that") from error
        waiting += further - seen
        seen |= further
    return frozenset(found)
