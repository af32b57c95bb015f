"""One line of SHA-256 for each file of a folder, as `sha256sum` writes and checks it."""

import hashlib
import stat
from collections.abc import Iterable
from pathlib import Path

from models.errors import BundleError

CHECKSUMS_FILE = "SHA256SUMS"
_READ_AT_ONCE = 1 << 20


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a regular file, in hexadecimal.

    Raises:
        BundleError: the file is missing, is a link or no regular file, or cannot be read.
    """
    digest = hashlib.sha256()
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise BundleError(f"{path} is not a regular file")
        with path.open("rb") as stream:
            while chunk := stream.read(_READ_AT_ONCE):
                digest.update(chunk)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def checksums_text(sums: Iterable[tuple[str, str]]) -> str:
    """Return the text of `SHA256SUMS` for pairs of file name and sum."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums))
