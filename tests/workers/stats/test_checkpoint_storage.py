"""Checkpoints in a folder and in a storage that is none."""

import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from structlog.testing import capture_logs

from stats_store.errors import CorruptCheckpointError
from workers.errors import ConfigurationError, WorkersError
from workers.stats.checkpoint_storage import (
    CancelledError,
    CheckpointStorage,
    StoredCheckpoint,
)

LOG = "stats.changelog@cluster@topic"
FILES = {"CURRENT": b"MANIFEST-000005\n", "000007.sst": bytes(range(256)) * 9_000, "empty": b""}


def never() -> bool:
    return False


@pytest.fixture(params=["folder", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "checkpoints")
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


Publish = Callable[..., StoredCheckpoint]


@pytest.fixture
def publish(url: str, source: Path) -> Publish:
    def call(position: int, *, changelog: str = LOG, partition: int = 1) -> StoredCheckpoint:
        return CheckpointStorage(url).publish(
            source, changelog=changelog, partition=partition, position=position, cancelled=never
        )

    return call


def positions(url: str, *, end: int = 1_000) -> list[int]:
    return [each.manifest.position for each in CheckpointStorage(url).newest(LOG, 1, end=end)]


def files_of(url: str) -> fsspec.AbstractFileSystem:
    return fsspec.core.url_to_fs(url)[0]


def test_what_was_published_is_fetched_byte_for_byte(
    url: str, publish: Publish, tmp_path: Path
) -> None:
    published = publish(40)
    storage = CheckpointStorage(url)
    (found,) = storage.newest(LOG, 1, end=40)
    assert found == published
    moved: list[int] = []
    storage.fetch(found, tmp_path / "fetched", moved=moved.append, cancelled=never)
    fetched = {file.name: file.read_bytes() for file in (tmp_path / "fetched").iterdir()}
    assert fetched == FILES
    assert sum(moved) == found.manifest.size == sum(map(len, FILES.values()))


def test_the_newest_comes_first_and_two_are_kept(url: str, publish: Publish) -> None:
    assert positions(url) == []
    for position in (100, 7, 300, 200):  # 200: of a worker that was slow
        publish(position)
    assert positions(url) == [300, 200, 100]  # what is older than its own is removed, not more
    publish(400)
    assert positions(url) == [400, 300]


def test_partitions_and_changelogs_do_not_mix(url: str, publish: Publish) -> None:
    publish(10)
    publish(20, partition=2)
    publish(30, changelog="stats.changelog@cluster@another")
    assert positions(url) == [10]


def test_one_of_another_partition_that_lies_here_is_passed_over(url: str, publish: Publish) -> None:
    publish(10)
    foreign, files = publish(20, partition=2), files_of(url)
    place = positions_folder(url)
    files.copy(foreign.path, f"{place}/{foreign.path.rpartition('/')[2]}", recursive=True)
    with capture_logs() as logged:
        assert positions(url) == [10]
    assert [line["event"] for line in logged] == ["checkpoint passed over"]
    assert "another" in logged[0]["reason"] or "2" in logged[0]["reason"]


def positions_folder(url: str) -> str:
    (first,) = CheckpointStorage(url).newest(LOG, 1, end=1_000)
    return first.path.rpartition("/")[0]


def test_one_ahead_of_the_changelog_is_passed_over(url: str, publish: Publish) -> None:
    publish(10)
    publish(20)
    with capture_logs() as logged:
        assert positions(url, end=19) == [10]
    assert "ahead" in logged[0]["reason"]


def test_a_half_written_one_is_passed_over_and_removed_once_it_is_old(
    url: str, publish: Publish
) -> None:
    half, files = publish(20), files_of(url)
    files.rm(f"{half.path}/manifest.json")
    publish(10)
    assert files.exists(half.path)  # another worker may be writing it
    with capture_logs() as logged:
        assert positions(url) == [10]
    assert "half-written" in logged[0]["reason"]
    publish(30)
    assert not files.exists(half.path)
    assert positions(url) == [30, 10]


def test_a_damaged_manifest_is_passed_over(url: str, publish: Publish) -> None:
    publish(10)
    damaged, files = publish(20), files_of(url)
    manifest = files.cat_file(f"{damaged.path}/manifest.json")
    files.pipe_file(
        f"{damaged.path}/manifest.json", manifest.replace(b'"position": 20', b'"position": 21')
    )
    with capture_logs() as logged:
        assert positions(url) == [10]
    assert "damaged" in logged[0]["reason"]


@pytest.mark.parametrize("name", ["000007.sst", "empty"])
def test_a_file_that_changed_or_is_gone_is_told(
    url: str, publish: Publish, tmp_path: Path, name: str
) -> None:
    checkpoint, files = publish(20), files_of(url)
    storage = CheckpointStorage(url)
    files.pipe_file(f"{checkpoint.path}/{name}", FILES[name][:-1] + b"x")
    with pytest.raises(CorruptCheckpointError, match=name):
        storage.fetch(checkpoint, tmp_path / "a", moved=lambda _: None, cancelled=never)
    files.rm(f"{checkpoint.path}/{name}")
    with pytest.raises(CorruptCheckpointError, match="missing"):
        storage.fetch(checkpoint, tmp_path / "b", moved=lambda _: None, cancelled=never)


def test_both_ways_can_be_cut_short(
    url: str, source: Path, publish: Publish, tmp_path: Path
) -> None:
    storage, checkpoint = CheckpointStorage(url), publish(10)
    with pytest.raises(CancelledError):
        storage.publish(source, changelog=LOG, partition=1, position=20, cancelled=lambda: True)
    with pytest.raises(CancelledError):
        storage.fetch(checkpoint, tmp_path / "cut", moved=lambda _: None, cancelled=lambda: True)
    assert positions(url) == [10]


def test_a_storage_that_cannot_be_written_or_read_is_an_error(tmp_path: Path, source: Path) -> None:
    (tmp_path / "file").write_text("")
    storage = CheckpointStorage(str(tmp_path / "file" / "below"))
    with pytest.raises(WorkersError, match="cannot be written"):
        storage.publish(source, changelog=LOG, partition=1, position=20, cancelled=never)


class Moody(MemoryFileSystem):  # type: ignore[misc]
    """A storage with errors of its own, as object stores have."""

    protocol = "moody"

    class MoodError(Exception):
        pass

    reasons: ClassVar[tuple[str, ...]] = ("not today",)

    def ls(self, *args: object, **kwargs: object) -> list[str]:
        raise self.MoodError(*self.reasons)


def test_a_storage_with_errors_of_its_own_cannot_be_read(source: Path) -> None:
    fsspec.register_implementation("moody", Moody, clobber=True)
    storage = CheckpointStorage("moody://bucket")
    with pytest.raises(WorkersError, match="cannot be read: not today"):
        next(storage.newest(LOG, 1, end=9))
    with pytest.raises(WorkersError, match=r"cannot be written to .*: not today"):
        storage.publish(source, changelog=LOG, partition=1, position=20, cancelled=never)


def test_an_error_without_words_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("moody", Moody, clobber=True)
    monkeypatch.setattr(Moody, "reasons", ())
    with pytest.raises(WorkersError, match=r"cannot be read: MoodError\(\)"):
        next(CheckpointStorage("moody://bucket").newest(LOG, 1, end=9))


def test_an_address_that_nothing_reaches_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="SECONDSIGHT_CHECKPOINT_URL"):
        CheckpointStorage("nosuch://bucket/prefix")


def test_s3_without_its_package_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(ConfigurationError, match=r"pip install 'secondsight\[s3\]'"):
        CheckpointStorage("s3://bucket/prefix")
