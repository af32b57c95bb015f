"""The image, built from the Dockerfile over a base that debootstrap makes. `make image-test`."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
BASE = "docker.io/library/python:3.11-slim-bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

# Runs a command in a folder as its root: read-only but for /tmp, without any privilege.
_JAIL = """
root=$1; shift
mount --bind "$root" "$root"
mount -o remount,ro,bind "$root"
mount -t tmpfs -o size=64m,mode=1777 tmp "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
exec setpriv --no-new-privs chroot --userspec="$USER_OF_IMAGE" "$root" "$@"
"""


@dataclass(frozen=True)
class Image:
    """A built image: where its files lie, and how it is to be run."""

    root: Path
    config: dict[str, Any]
    size_bytes: int

    def run(self, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as a container would, as the user of the image, with a read-only root."""
        told = (f"{name}={value}" for name, value in environment.items())
        whole = ["env", "-i", *self.config["Env"], *told, *command]
        return subprocess.run(
            ["unshare", "--mount", "sh", "-euc", _JAIL, "sh", self.root, *whole],
            env={**os.environ, "USER_OF_IMAGE": self.config["User"]},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The CPU flavour. Takes four minutes and 3 GB, which are given back."""
    missing = [each for each in ("buildah", "debootstrap", "unshare") if shutil.which(each) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(
            f"needs root and {', '.join(missing)} (Debian: apt install buildah debootstrap)"
        )
    folder = tmp_path_factory.mktemp("image")
    store = ["--root", str(folder / "store"), "--runroot", str(folder / "run")]
    environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}

    def buildah(*arguments: str | Path) -> str:
        done = subprocess.run(
            ["buildah", *store, *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    try:
        _make_base(folder / "base")
        empty = buildah("from", "scratch")
        buildah("copy", "--quiet", empty, folder / "base", "/")
        buildah("commit", "--quiet", "--rm", empty, BASE)
        shutil.rmtree(folder / "base")
        dockerfile = "deploy/docker/Dockerfile"
        options = ("--pull-never", "--format=docker", f"--file={dockerfile}")
        buildah("build", *options, "--build-arg=VERSION=1.2.3", "--tag=secondsight:test", ".")
        container = buildah("from", "--pull-never", "localhost/secondsight:test")
        root = Path(buildah("mount", container))
        inspected = json.loads(buildah("inspect", "--type=image", "secondsight:test"))
        size = subprocess.run(["du", "-sb", root], capture_output=True, text=True, check=True)
        yield Image(root, inspected["Docker"]["config"], int(size.stdout.split()[0]))
        buildah("umount", container)
        buildah("rm", container)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_base(folder: Path) -> None:
    """Debian with Python, under the name of the base image: the registry is not reached here."""
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", folder],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    # Whom this machine trusts, the build does too.
    shutil.copy(_CERTIFICATES, folder / _CERTIFICATES.relative_to("/"))
    (folder / "etc" / "pip.conf").write_text(f"[global]\ncert = {_CERTIFICATES}\n")
