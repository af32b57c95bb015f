import hashlib
import shutil
from pathlib import Path

import pytest

from models.bundle.folder import read_bundle
from models.errors import BundleError
from workers.errors import ConfigurationError, WorkersError
from workers.registry.storage import ModelRegistry


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_is_published_is_fetched_byte_for_byte(red_bundle: Path, tmp_path: Path) -> None:
    registry = ModelRegistry(str(tmp_path / "registry"))

    uri, manifest = registry.publish(red_bundle)

    assert manifest == digest(red_bundle / "bundle.json")
    with registry.fetched(uri, manifest_sha256=manifest) as folder:
        assert read_bundle(folder).manifest == read_bundle(red_bundle).manifest
        assert {each.name: digest(each) for each in folder.iterdir()} == {
            each.name: digest(each) for each in red_bundle.iterdir()
        }
    assert not folder.exists()


def test_publishing_again_mends_what_was_half_written(red_bundle: Path, tmp_path: Path) -> None:
    registry = ModelRegistry(str(tmp_path))
    uri, manifest = registry.publish(red_bundle)
    place = tmp_path / uri.rpartition("/")[2]
    (place / "bundle.json").unlink()
    (place / "heads.onnx").write_bytes(b"half")

    with (
        pytest.raises(BundleError, match="no whole bundle"),
        registry.fetched(uri, manifest_sha256=manifest),
    ):
        pass
    assert registry.publish(red_bundle) == (uri, manifest)
    with registry.fetched(uri, manifest_sha256=manifest) as folder:
        read_bundle(folder)


def test_a_bundle_other_than_the_announced_one_is_refused(red_bundle: Path, tmp_path: Path) -> None:
    registry = ModelRegistry(str(tmp_path))
    uri, manifest = registry.publish(red_bundle)

    with (
        pytest.raises(BundleError, match="not the one that was announced"),
        registry.fetched(uri, manifest_sha256="0" * 64),
    ):
        pass
    # What lies there beside it, such as other people's files, is not copied.
    place = tmp_path / uri.rpartition("/")[2]
    (place / "private").write_text("not of the bundle")
    with registry.fetched(uri, manifest_sha256=manifest) as folder:
        assert not (folder / "private").exists()


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc",
        "{root}",
        "{root}/",
        "{root}/..",
        "{root}/a/b",
        "{root}/../other",
        "{root}-other/a",
        "s3://bucket/a",
        "relative",
    ],
)
def test_an_address_outside_of_the_registry_is_refused(
    uri: str, red_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "registry").mkdir()
    shutil.copytree(red_bundle, tmp_path / "other")
    registry = ModelRegistry(str(tmp_path / "registry"))
    manifest = digest(red_bundle / "bundle.json")

    with (
        pytest.raises(BundleError, match="does not lie in the registry"),
        registry.fetched(uri.format(root=f"file://{tmp_path}/registry"), manifest_sha256=manifest),
    ):
        pass


def test_a_registry_that_cannot_be_used_says_so(red_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SECONDSIGHT_MODEL_REGISTRY=nowhere://"):
        ModelRegistry("nowhere://models")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(WorkersError, match="cannot be written"):
        ModelRegistry(str(tmp_path / "file")).publish(red_bundle)
