"""`python -m deploy.generate [--check]`: writes what is made from the code, or compares it."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy import certificates, kafka
from deploy.alerts import prometheus_rule, rule_groups
from deploy.dashboard import dashboard
from deploy.serving import serving_txt
from deploy.settings import settings_env

ROOT = Path(__file__).parent
STRIMZI = "k8s/components/strimzi"
MONITORING = "k8s/components/monitoring"


def files() -> Mapping[str, str]:
    """Return the text of every generated file by its path below deploy/."""
    return {
        "docker/serving.txt": serving_txt(),
        "docker/rules.yaml": kafka.text_of([{"groups": rule_groups()}]),
        "k8s/base/settings.env": settings_env(),
        f"{STRIMZI}/topics.yaml": kafka.text_of(kafka.topics()),
        f"{STRIMZI}/users.yaml": kafka.text_of(kafka.users()),
        f"{STRIMZI}/certificates.yaml": kafka.text_of(certificates.patches()),
        f"{MONITORING}/rules.yaml": kafka.text_of([prometheus_rule()]),
        f"{MONITORING}/secondsight.json": dashboard(),
    }


def main() -> int:
    """Write the files, or with --check say which are not current; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="Compare only; write nothing.")
    check = parser.parse_args().check
    stale = [path for path, text in files().items() if not _holds(ROOT / path, text)]
    if check and stale:
        print("not current, run `make manifests`:", *stale, file=sys.stderr)  # noqa: T201
        return 1
    for path in stale:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(files()[path], encoding="utf-8")
    return 0


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
