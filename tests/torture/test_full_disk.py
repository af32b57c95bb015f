"""A disk that fills up under a worker: it stops, says so, and goes on once there is room."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FAILED = 1
DISK_BYTES = 24 * 2**20


@dataclass(frozen=True)
class SmallDisk:
    """A disk of DISK_BYTES for the processes that are started with `prefix`.

    `inside` is where they find it, `outside` the same folder for everybody else.
    """

    prefix: Sequence[str]
    inside: Path
    outside: Path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A tmpfs in a mount namespace of its own, for which nobody has to be root.

    Where the kernel allows no such namespaces the test fails and says so: without a disk that
    is full there is nothing to test.
    """
    mount = tmp_path / "disk"
    mount.mkdir()
    script = f'mount -t tmpfs -o size={DISK_BYTES} tmpfs "$0" && echo mounted && exec cat'
    keeper = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(mount)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    assert keeper.stderr is not None
    if keeper.stdout.readline() != "mounted\n":
        pytest.fail(f"no small disk can be made here: {keeper.stderr.read()}")
    prefix = ("nsenter", "--target", str(keeper.pid), "--user", "--mount")
    yield SmallDisk(
        prefix=(*prefix, "--preserve-credentials", "--wdns=" + str(Path.cwd())),
        inside=mount,
        outside=Path(f"/proc/{keeper.pid}/root{mount}"),
    )
    keeper.communicate()


def fill(folder: Path) -> Path:
    """Write until nothing more goes in; returns the file to be removed."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**16, 1):
            try:
                while file.write(b"0" * size):
                    pass
            except OSError:
                continue
    return ballast


def test_the_worker_stops_and_goes_on_when_there_is_room(
    make_scene: Callable[..., Any], small_disk: SmallDisk
) -> None:
    scene = make_scene()
    data = small_disk.inside / "data"
    scene.crew.start("a", data=data, prefix=small_disk.prefix)
    scene.publish(100)
    scene.counted()
    ballast = fill(small_disk.outside)
    scene.publish(400)
    worker = scene.crew.running["a"]
    assert worker.wait() == FAILED
    assert "no space is left on the disk" in worker.logged()

    # Started again while the disk is full it must not go on as if nothing were.
    again = scene.crew.start("a", data=data, prefix=small_disk.prefix)
    assert again.wait() == FAILED

    ballast.unlink()
    scene.crew.start("a", data=data, prefix=small_disk.prefix)
    scene.counted()
    scene.crew.stop()
    # To where the recount looks, which sees nothing of the small disk.
    shutil.copytree(small_disk.outside / "data", scene.crew.data("a"))
    scene.crew.start("b")
    scene.is_as_counted()
