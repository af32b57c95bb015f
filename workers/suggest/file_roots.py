"""Photos on disk, only below folders that the operator named."""

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from workers.suggest.errors import FetchFailedError, FetchRefusedError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe would wait for its writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_PASSING = frozenset(
    {errno.EAGAIN, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE}
)


class FileRoots:
    """Reads `file:` URIs below the given folders; without folders it refuses all.

    Args:
        roots: folders; symbolic links on the way to them are followed once, here.
        max_bytes: the largest file that is read.
    """

    def __init__(self, roots: Iterable[Path], *, max_bytes: int) -> None:
        self._roots = tuple(root.resolve() for root in roots)
        self._max_bytes = max_bytes

    def read(self, uri: str) -> bytes:
        """Return the bytes of a file. Blocks.

        Raises:
            FetchRefusedError: the path lies outside the roots once decoded and with its
                symbolic links followed, is not there, is no regular file, or is too large.
            FetchFailedError: the disk gave an error.
        """
        try:
            path = _path_of(uri).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # loops, NUL, names too long
            raise FetchRefusedError(f"the path cannot be resolved: {error}") from error
        root = next((root for root in self._roots if path.is_relative_to(root)), None)
        if root is None:
            raise FetchRefusedError("the path is not below a configured root")
        try:
            return self._read(root, path.relative_to(root).parts)
        except OSError as error:
            message = f"the file cannot be read: {error.strerror}"
            kind = FetchFailedError if error.errno in _PASSING else FetchRefusedError
            raise kind(message) from error

    def _read(self, root: Path, parts: tuple[str, ...]) -> bytes:
        # The resolved path is free of symbolic links. It is opened name by name without
        # following any, so that one put in its place meanwhile does not lead out.
        folder = os.open(root, _FOLDER)
        try:
            for name in parts[:-1]:
                below = os.open(name, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = below
            descriptor = os.open(parts[-1] if parts else ".", _FILE, dir_fd=folder)
        finally:
            os.close(folder)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FetchRefusedError("the path is not a regular file")
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(self._max_bytes + 1)
        finally:
            os.close(descriptor)
        if len(data) > self._max_bytes:
            raise FetchRefusedError(f"the file is larger than {self._max_bytes} bytes")
        return data


def _path_of(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc.lower() not in ("", "localhost"):
        raise FetchRefusedError("a file: URI names another host")
    if parts.query or parts.fragment:
        raise FetchRefusedError("a file: URI has a query or fragment")
    path = os.fsdecode(unquote_to_bytes(parts.path))
    if not path.startswith("/"):
        raise FetchRefusedError("a file: URI is not absolute")
    return Path(path)
