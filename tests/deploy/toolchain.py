"""The programs of Kubernetes that the tests of the deployment run, built from their source.

`python -m tests.deploy.toolchain` builds them from the Go modules that `kubernetes/go.mod` pins,
by the sums in go.sum: ten minutes on two cores, and 300 MB in the user's cache, once a version.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODULE = Path(__file__).with_name("kubernetes")
VERSION = "v1.34.2"
PROGRAMS = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}
_VERSION_FLAGS = "-X k8s.io/component-base/version."
_GO_ITSELF = "/usr/local/go/bin"  # where Go's own archive goes, often not on the PATH
_NO_GO = (
    "Go 1.24 or newer is needed to build Kubernetes for this test, and there is none on the PATH. "
    "Install it with your system's packages (Debian: golang-go, from backports where that of the "
    "release is older) or as Go's own page of downloads says, then say `make k8s-test` again."
)


def folder() -> Path:
    """Return where the programs lie, or will lie: a folder of the user's cache for these pins."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    pins = hashlib.sha256((MODULE / "go.mod").read_bytes()).hexdigest()[:12]
    return Path(root) / "secondsight" / f"kubernetes-{VERSION}-{pins}"


def built() -> bool:
    """Say whether all programs are there."""
    return all((folder() / name).is_file() for name in PROGRAMS)


def build() -> None:
    """Build the programs that are missing; two who build at once build one after the other.

    Raises:
        SystemExit: there is no Go, or a build failed; what to do is in it.
    """
    target = folder()
    target.mkdir(parents=True, exist_ok=True)
    with (target / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, package in PROGRAMS.items():
            if not (target / name).is_file():
                _build(package, target / name)


def _build(package: str, program: Path) -> None:
    go = shutil.which("go", path=f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{_GO_ITSELF}")
    if go is None:
        raise SystemExit(_NO_GO)
    began = time.monotonic()
    _say(f"building {package}, of Kubernetes {VERSION} ...")
    major, minor, _ = VERSION.removeprefix("v").split(".")
    flags = ["-s", "-w"]
    for name, value in {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor}.items():
        flags.append(f"{_VERSION_FLAGS}{name}={value}")
    with tempfile.TemporaryDirectory(dir=program.parent) as aside:
        # What is half built never has the program's name.
        output = Path(aside) / program.name
        command: list[str | Path] = [
            go,
            "build",
            "-trimpath",
            "-ldflags",
            " ".join(flags),
            "-o",
            output,
            package,
        ]
        done = subprocess.run(command, cwd=MODULE, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{package} could not be built; the lines above say why.")
        output.rename(program)
    _say(f"  {time.monotonic() - began:.0f} s")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201 - progress, for whoever waits


if __name__ == "__main__":
    build()
