"""Photos in an object store, only below prefixes that the operator named."""

import errno
import re
from collections.abc import Iterable
from typing import Any, Self
from urllib.parse import unquote_to_bytes

from workers.errors import ConfigurationError
from workers.object_storage import open_storage
from workers.suggest.errors import FetchFailedError, FetchRefusedError

SETTING = "SECONDSIGHT_IMAGE_S3_ROOTS"

_URI = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9._-]{1,61}[a-z0-9])(?P<path>/[^?#]*)?")
_SCHEME = re.compile("s3://", re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_MAX_KEY_BYTES = 1_024  # of S3
_CHUNK_BYTES = 64 * 1024
_CONNECTIONS = 32  # photos that are asked for at once

# What the store says of the request rather than of itself, beside that something is not there or
# forbidden.
_LASTING = frozenset({errno.EINVAL, errno.EPERM, errno.ENAMETOOLONG, errno.EISDIR})


class ObjectRoots:
    """Reads `s3:` URIs below the given roots; without roots it refuses all.

    Credentials, region and endpoint are those of the AWS environment (`AWS_ENDPOINT_URL` and the
    like). To be entered and used within one event loop; how long a fetch may take in all is up to
    the caller, who also tries again.

    Args:
        roots: such as `s3://bucket/prefix`; what is below the prefix may be read.
        max_bytes: the largest object that is read.
        connect_timeout_s: seconds that connecting may take.
        read_timeout_s: seconds that the store may be silent.

    Raises:
        ConfigurationError: a root is none, or the extra `s3` is not installed.
    """

    def __init__(
        self,
        roots: Iterable[str],
        *,
        max_bytes: int,
        connect_timeout_s: float = 3.0,
        read_timeout_s: float = 10.0,
    ) -> None:
        self._max_bytes = max_bytes
        self._files: Any = None
        try:
            self._roots = [_path_of(root.rstrip("/")) for root in roots]
        except FetchRefusedError as error:
            raise ConfigurationError(f"{SETTING}: {error}") from error
        if not self._roots:
            return
        self._files, _ = open_storage(
            f"s3://{self._roots[0][0]}",
            setting=SETTING,
            asynchronous=True,
            skip_instance_cache=True,  # it is bound to the loop in which it is entered
            config_kwargs={
                "connect_timeout": connect_timeout_s,
                "read_timeout": read_timeout_s,
                "max_pool_connections": _CONNECTIONS,
                "retries": {"total_max_attempts": 1},
            },
        )
        self._files.retries = 1

    async def __aenter__(self) -> Self:
        if self._files is not None:
            try:
                self._client = await self._files.set_session(refresh=True)
            except Exception as error:
                raise ConfigurationError(f"{SETTING}: S3 cannot be used: {error}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._files is not None:
            await self._client.close()

    async def read(self, uri: str) -> bytes:
        """Return the bytes of an object.

        Raises:
            FetchRefusedError: its key lies outside the roots once decoded, is not there, may not
                be read, or is too large.
            FetchFailedError: the store failed, or could not be reached.
        """
        path = _path_of(uri)
        # Longer than the root: the root itself is no object of its own.
        if not any(path[: len(root)] == root and len(path) > len(root) for root in self._roots):
            raise FetchRefusedError("the key is not below a configured root")
        try:
            return await self._read("/".join(path))
        except FetchRefusedError:
            raise
        except FileNotFoundError as error:
            raise FetchRefusedError("the object is not there") from error
        except PermissionError as error:
            raise FetchRefusedError(f"the object may not be read: {error}") from error
        except Exception as error:  # each store has errors of its own
            message = f"the object cannot be read: {str(error) or repr(error)}"
            lasting = isinstance(error, OSError) and error.errno in _LASTING
            raise (FetchRefusedError if lasting else FetchFailedError)(message) from error

    async def _read(self, path: str) -> bytes:
        file = await self._files.open_async(path, "rb")
        data = bytearray()
        try:
            while chunk := await file.read(_CHUNK_BYTES):
                data += chunk
                # The size is that of the answer's header, known with the first chunk.
                if max(len(data), file.size) > self._max_bytes:
                    raise FetchRefusedError(f"the object is larger than {self._max_bytes} bytes")
        finally:
            if file.r is not None:
                file.r.close()
        return bytes(data)


def _path_of(uri: str) -> tuple[str, ...]:
    """Return bucket and key, the key by its segments; decoded once, as it is asked for.

    Raises:
        FetchRefusedError: it is no plain `s3://bucket/key`, whatever else may lie behind it.
    """
    match = _URI.fullmatch(_SCHEME.sub("s3://", uri, count=1))
    if match is None:
        raise FetchRefusedError("an s3: URI is not s3://bucket/key")
    try:
        key = unquote_to_bytes((match["path"] or "")[1:]).decode()
    except UnicodeDecodeError as error:
        raise FetchRefusedError("the key is not UTF-8") from error
    # s3fs takes what follows a question mark for a version.
    if _CONTROL.search(key) or "?" in key or len(key.encode()) > _MAX_KEY_BYTES:
        raise FetchRefusedError("the key has control characters, a question mark, or is too long")
    segments = key.split("/") if match["path"] else []
    if any(segment in ("", ".", "..") for segment in segments):
        raise FetchRefusedError("the key has an empty segment, `.` or `..`")
    return (match["bucket"], *segments)
