import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from models.bundle.checksums import CHECKSUMS_FILE
from models.bundle.folder import (
    BACKBONE_FILE,
    HEADS_FILE,
    HEADS_ONNX_FILE,
    MANIFEST_FILE,
    SNAPSHOT_FILE,
    new_bundle_folder,
    read_bundle,
    write_manifest,
)
from models.errors import BundleError

FILES = (
    BACKBONE_FILE,
    HEADS_FILE,
    HEADS_ONNX_FILE,
    MANIFEST_FILE,
    SNAPSHOT_FILE,
    CHECKSUMS_FILE,
)


@pytest.fixture
def bundle(bundle_folder: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return shutil.copytree(bundle_folder, tmp_path / "copy")


def resign(bundle: Path) -> None:
    """Write sums that fit, as one would who alters a bundle with care."""
    manifest = json.loads((bundle / MANIFEST_FILE).read_text())
    manifest["files"] = {
        name: hashlib.sha256((bundle / name).read_bytes()).hexdigest() for name in manifest["files"]
    }
    (bundle / MANIFEST_FILE).write_text(json.dumps(manifest))
    sums = {**manifest["files"]}
    sums[MANIFEST_FILE] = hashlib.sha256((bundle / MANIFEST_FILE).read_bytes()).hexdigest()
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    (bundle / CHECKSUMS_FILE).write_text(text)


def alter(bundle: Path, **fields: object) -> None:
    path = bundle / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    resign(bundle)


def test_a_bundle_is_exactly_its_files_and_reads_back(bundle: Path) -> None:
    assert sorted(path.name for path in bundle.iterdir()) == sorted(FILES)
    found = read_bundle(bundle)
    assert found.manifest.currency == "GBP"
    assert found.manifest.model_version.startswith("colours-percentile-")
    assert found.snapshot.overall.count == found.manifest.source.sales


def test_the_sums_are_those_of_sha256sum(bundle: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", CHECKSUMS_FILE], cwd=bundle, check=True)
    assert len((bundle / CHECKSUMS_FILE).read_text().splitlines()) == len(FILES) - 1


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_one_flipped_bit_anywhere_is_refused(bundle: Path, name: str, place: float) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[round(place * (len(content) - 1))] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(BundleError):
        read_bundle(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_a_cut_and_a_longer_file_are_refused(bundle: Path, name: str) -> None:
    content = (bundle / name).read_bytes()
    for other in (content[:-1], content + b"\n", b""):
        (bundle / name).write_bytes(other)
        with pytest.raises(BundleError):
            read_bundle(bundle)
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=name):
        read_bundle(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_link_in_place_of_a_file_is_refused(bundle: Path, name: str, tmp_path: Path) -> None:
    (bundle / name).rename(tmp_path / name)
    (bundle / name).symlink_to(tmp_path / name)
    with pytest.raises(BundleError, match="not a regular file"):
        read_bundle(bundle)


def test_files_beside_it_do_not_matter(bundle: Path) -> None:
    (bundle / ".DS_Store").write_bytes(b"x")
    assert read_bundle(bundle).manifest.currency == "GBP"


def test_another_format_version_is_refused(bundle: Path) -> None:
    alter(bundle, format_version=1)
    with pytest.raises(BundleError, match="format version 1; this program reads 2"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    "fields",
    [
        {"currency": "XXX"},
        {"inputs": "many"},
        {"surprise": 1},
        {"files": {"../heads.onnx": "0" * 64}},
        {"files": {"heads\0.onnx": "0" * 64}},
        {"files": {"x" * 300: "0" * 64}},
        {"files": {"heads.onnx\n": "0" * 64}},
        {"files": []},
        {"files": {}},
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(bundle: Path, fields: dict[str, object]) -> None:
    path = bundle / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    with pytest.raises(BundleError):
        read_bundle(bundle)
    if isinstance(fields.get("files", {}), dict) and "files" not in fields:
        resign(bundle)  # also with sums that fit
        with pytest.raises(BundleError, match="not a manifest"):
            read_bundle(bundle)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b"null"])
def test_what_is_no_manifest_at_all_is_refused(bundle: Path, content: bytes) -> None:
    (bundle / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(BundleError, match="not a manifest"):
        read_bundle(bundle)


def test_another_layout_of_the_statistics_is_refused(bundle: Path) -> None:
    alter(bundle, statistics_schema_sha256="0" * 64)
    with pytest.raises(BundleError, match="another layout of the statistics"):
        read_bundle(bundle)


def test_no_folder_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a folder"):
        read_bundle(tmp_path / "none")
    with pytest.raises(BundleError, match=MANIFEST_FILE):
        read_bundle(tmp_path)


def test_the_version_depends_on_the_content_alone(bundle: Path) -> None:
    manifest = read_bundle(bundle).manifest
    assert write_manifest(bundle, manifest) == manifest
    other = write_manifest(bundle, manifest.model_copy(update={"target_mean": 1.5}))
    assert other.model_version != manifest.model_version


class InterruptedTrainingError(Exception):
    pass


def test_a_failed_training_leaves_nothing_and_keeps_the_old_bundle(bundle: Path) -> None:
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}

    def fail() -> None:
        with new_bundle_folder(bundle) as folder:
            (folder / HEADS_FILE).write_bytes(b"half")
            raise InterruptedTrainingError

    with pytest.raises(InterruptedTrainingError):
        fail()
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_a_new_bundle_takes_the_place_of_the_old_one(bundle: Path) -> None:
    with new_bundle_folder(bundle) as folder:
        (folder / "new").write_bytes(b"n")
        assert (bundle / MANIFEST_FILE).exists()
    assert [path.name for path in bundle.iterdir()] == ["new"]
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]
    assert bundle.stat().st_mode & 0o777 == 0o755
    assert (bundle / "new").stat().st_mode & 0o777 == 0o644


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letters.txt").write_text("dear")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "home")
    for name in ("home", "file", "link"):
        with (
            pytest.raises(BundleError, match="is not a bundle"),
            new_bundle_folder(tmp_path / name),
        ):
            pytest.fail("the block must not run")
    assert (tmp_path / "home" / "letters.txt").read_text() == "dear"


def test_an_empty_folder_and_a_new_path_are_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "some/where/new"):
        with new_bundle_folder(tmp_path / name) as folder:
            (folder / "x").write_bytes(b"x")
        assert (tmp_path / name / "x").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(BundleError, match="cannot be written"),
        new_bundle_folder(tmp_path / "file" / "bundle"),
    ):
        pytest.fail("the block must not run")
