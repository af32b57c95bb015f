"""Features on disk, so that a photo goes through a network once."""

import hashlib
import os
import tempfile
import zlib
from pathlib import Path

import numpy as np

from models.errors import ModelsError
from models.extractors.protocol import Features


class FeatureCache:
    """Features by backbone and photo, one small file each; grows without bound.

    Safe for any number of threads and processes: a file appears under its name only when it is
    whole. A file that was damaged all the same fails its checksum and counts as absent.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Use a folder, by default `secondsight/features` in the user's cache."""
        self._folder = folder or user_cache() / "features"

    def get(self, fingerprint: str, digest: str) -> Features | None:
        """Return the features [width] of a photo, or None where there are none.

        Args:
            fingerprint: of the backbone.
            digest: SHA-256 of the photo's bytes, hexadecimal.
        """
        try:
            values = checked(self._path(fingerprint, digest).read_bytes())
        except OSError:
            return None
        if not values or len(values) % 4:
            return None
        return np.frombuffer(values, dtype="<f4").astype(np.float32)

    def put(self, fingerprint: str, digest: str, features: Features) -> None:
        """Keep the features [width] of a photo.

        Raises:
            ModelsError: the folder cannot be written.
        """
        content = with_checksum(features.astype("<f4").tobytes())
        try:
            write_whole(self._path(fingerprint, digest), content)
        except OSError as error:
            raise ModelsError(
                f"the feature cache at {self._folder} cannot be written: {error.strerror}"
            ) from None

    def _path(self, fingerprint: str, digest: str) -> Path:
        backbone = hashlib.sha256(fingerprint.encode()).hexdigest()[:16]
        return self._folder / backbone / digest[:2] / f"{digest[2:]}.f32"


def with_checksum(content: bytes) -> bytes:
    """Return what `checked` finds whole."""
    return zlib.crc32(content).to_bytes(4, "little") + content


def checked(stored: bytes) -> bytes | None:
    """Return the content that was given to `with_checksum`, None where it was damaged."""
    checksum, content = stored[:4], stored[4:]
    return content if checksum == zlib.crc32(content).to_bytes(4, "little") else None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, and the folders above it, so that it appears under its name when it is whole.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(unfinished).replace(path)
    except OSError:
        Path(unfinished).unlink(missing_ok=True)
        raise


def user_cache() -> Path:
    """Return our folder in the user's cache: what is in it may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "secondsight"
