"""A folder that is damaged, foreign or in use: the worker stops, says so, and changes nothing.

What the store says of each sort of damage is in tests/stats_store/test_rocksdb.py; here is what
becomes of the worker, of the group and of the topics.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stats_store.backend.options import RocksDBOptions
from stats_store.backend.rocksdb import RocksDBBackend
from stats_store.changelog import Family
from tests.torture.verdict import CHANGELOG

BAD_DATA, FAILED = 3, 1


def files(folder: Path) -> dict[str, bytes]:
    """Return every file but the info log, which a failed start may write to."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("LOG")
    }


def entries(folder: Path) -> dict[str, bytes]:
    """Return every entry; RocksDB writes its manifest anew whenever it is opened."""
    backend = RocksDBBackend.open(folder, RocksDBOptions(), [])
    try:
        return {repr(k): v for family in Family for k, v in backend.scan(family.value)}
    finally:
        backend.close()


def truncate_manifest(folder: Path) -> None:
    (manifest,) = folder.glob("MANIFEST-*")
    manifest.write_bytes(manifest.read_bytes()[:20])


def put_another_partitions(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.with_name("1").rename(folder)


@pytest.mark.parametrize(
    ("spoil", "content"), [(truncate_manifest, files), (put_another_partitions, entries)]
)
def test_a_spoilt_folder_is_refused_and_restored_once_it_is_moved_away(
    make_scene: Callable[..., Any],
    spoil: Callable[[Path], None],
    content: Callable[[Path], dict[str, bytes]],
    tmp_path: Path,
) -> None:
    scene = make_scene(partitions=2)
    scene.crew.start("a")
    scene.publish(150)
    scene.counted()
    scene.crew.stop()
    kept = scene.cluster.read(CHANGELOG)
    folder = scene.crew.data("a") / "stats" / "0"
    spoil(folder)
    spoilt = content(folder)

    refused = scene.crew.start("a")
    assert refused.wait() == BAD_DATA
    assert "restored from the changelog" in refused.last_words()
    assert content(folder) == spoilt
    assert scene.cluster.read(CHANGELOG) == kept

    folder.rename(tmp_path / "moved-away")
    scene.crew.start("a")
    scene.publish(50)
    scene.is_as_counted()


def test_a_folder_that_a_frozen_worker_still_holds_is_not_taken_from_it(
    make_scene: Callable[..., Any],
) -> None:
    scene = make_scene()
    first = scene.crew.start("a")
    scene.publish(100)
    scene.counted()
    first.freeze()
    second = scene.crew.start("b", data=scene.crew.data("a"))
    assert second.wait() == FAILED  # once the group has given up the first
    assert "is in use by another process; stop it" in second.last_words()
    scene.crew.forget("b")
    scene.publish(50)
    first.go_on()
    scene.is_as_counted()
