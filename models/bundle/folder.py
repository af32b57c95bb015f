"""A bundle as a folder: written whole or not at all, and refused unless every byte is right.

    BUNDLE/bundle.json             the manifest
    BUNDLE/heads.safetensors       weights of the two networks, scaling of their input
    BUNDLE/heads.onnx              the same for the CPU runtime
    BUNDLE/backbone.onnx           the extractor (one file each where there are several)
    BUNDLE/histograms.safetensors  sold prices of training
    BUNDLE/SHA256SUMS              sums of all of these

Nothing in it is executable or a pickle.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError

from models.bundle.checksums import CHECKSUMS_FILE, checksums_text, sha256_of
from models.bundle.manifest import (
    FILE_NAME,
    FORMAT_VERSION,
    Manifest,
    statistics_schema_sha256,
)
from models.bundle.snapshot import SalesSnapshot
from models.errors import BundleError, ModelsError

MANIFEST_FILE = "bundle.json"
HEADS_FILE = "heads.safetensors"
HEADS_ONNX_FILE = "heads.onnx"
BACKBONE_FILE = "backbone.onnx"
SNAPSHOT_FILE = "histograms.safetensors"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder whose every file was checked, and what is read from it at once."""

    folder: Path
    manifest: Manifest
    snapshot: SalesSnapshot


@contextmanager
def new_bundle_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder beside `target` that takes its name when the block ends well.

    An error inside leaves nothing behind. An existing bundle at `target` is replaced, and only
    then; any other existing folder is refused before work is put into it.

    Raises:
        BundleError: the target exists and is no bundle, or its parent cannot be written to.
        ModelsError: the disk filled, or failed in another way, while the block was writing.
    """
    target = Path(target).absolute()
    if target.is_symlink() or (target.exists() and not _may_be_replaced(target)):
        raise BundleError(f"{target} exists and is not a bundle: name another folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise BundleError(f"{target} cannot be written: {error.strerror}") from None
    try:
        yield temporary
        for path in temporary.iterdir():
            path.chmod(0o644)
            _to_disk(path)
        temporary.chmod(0o755)  # as private as they are made, other users' workers see nothing
        _take_name(temporary, target)
    except (OSError, SafetensorError) as error:
        raise ModelsError(f"{target} was not written, nothing of it is left: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Name the bundle by its content, and write `bundle.json` and the sums, anew if need be.

    Args:
        folder: holds all other files of the bundle.
        manifest: with any `model_version` and `files`: both are set here.

    Returns:
        The manifest as written. The version is `<backbone>-<rule>-<12 digits of the content>`, so
        the same data, seed and code give the same name, and a copied folder keeps it.
    """
    files = {
        path.name: sha256_of(path)
        for path in sorted(folder.iterdir())
        if path.name not in (MANIFEST_FILE, CHECKSUMS_FILE)
    }
    unnamed = manifest.model_copy(update={"files": files, "model_version": ""})
    content = hashlib.sha256(unnamed.model_dump_json().encode()).hexdigest()
    backbone = unnamed.image_networks[0].backbone
    named = unnamed.model_copy(
        update={"model_version": f"{backbone}-{unnamed.rule.name}-{content[:12]}"}
    )
    path = folder / MANIFEST_FILE
    path.write_text(named.model_dump_json(indent=2) + "\n", encoding="utf-8")
    sums = {**files, MANIFEST_FILE: sha256_of(path)}
    (folder / CHECKSUMS_FILE).write_text(checksums_text(sums.items()), encoding="utf-8")
    return named


def read_bundle(folder: Path) -> Bundle:
    """Check every file of a bundle and read its manifest and its snapshot.

    Files that the manifest does not name are not looked at.

    Raises:
        BundleError: a file is missing, altered, or a link; the format is of another version;
            the statistics are of another layout than this program's.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder")
    manifest_sum = sha256_of(folder / MANIFEST_FILE)
    manifest_bytes = (folder / MANIFEST_FILE).read_bytes()
    files = files_of(manifest_bytes, folder)
    found = {name: sha256_of(folder / name) for name in files}
    for name, digest in found.items():
        if digest != files[name]:
            raise BundleError(f"{folder / name} is not the file that the bundle was made with")
    sha256_of(folder / CHECKSUMS_FILE)  # for its complaint about a link or a missing file
    expected = checksums_text([*found.items(), (MANIFEST_FILE, manifest_sum)])
    if (folder / CHECKSUMS_FILE).read_bytes() != expected.encode():
        raise BundleError(f"{folder / CHECKSUMS_FILE} does not match: the bundle was altered")
    try:
        manifest = Manifest.model_validate_json(manifest_bytes)
    except ValidationError as error:
        raise BundleError(f"{folder / MANIFEST_FILE} is not a manifest: {error}") from None
    if manifest.statistics_schema_sha256 != statistics_schema_sha256():
        raise BundleError(
            f"{folder} was trained on another layout of the statistics than this program has: "
            "train it anew"
        )
    if SNAPSHOT_FILE not in files:
        raise BundleError(f"{folder} has no {SNAPSHOT_FILE}")
    return Bundle(folder, manifest, SalesSnapshot.load(folder / SNAPSHOT_FILE, manifest.currency))


def files_of(manifest_bytes: bytes, folder: Path) -> dict[str, str]:
    """Read the sums by file name from a manifest that nobody has checked yet.

    Raises:
        BundleError: it is no manifest, or of another format version.
    """
    try:
        content: Any = json.loads(manifest_bytes)
        version, files = content["format_version"], content["files"]
        if version != FORMAT_VERSION:
            raise BundleError(
                f"{folder} has format version {version!r}; this program reads {FORMAT_VERSION}"
            )
        for name, digest in files.items():
            if not re.fullmatch(FILE_NAME, name, re.ASCII) or not isinstance(digest, str):
                raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BundleError(f"{folder / MANIFEST_FILE} is not a manifest") from None
    return dict(files)


def _may_be_replaced(target: Path) -> bool:
    return target.is_dir() and ((target / MANIFEST_FILE).is_file() or not any(target.iterdir()))


def _to_disk(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _take_name(temporary: Path, target: Path) -> None:
    """Rename; an older bundle steps aside first, since a full folder cannot be renamed over."""
    aside = None
    if target.exists():
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
        target.rename(aside / target.name)
    try:
        temporary.rename(target)
    except OSError:
        if aside is not None:
            (aside / target.name).rename(target)
        raise
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)
