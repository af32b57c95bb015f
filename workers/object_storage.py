"""Folders and object stores by address, whatever fsspec reaches."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec

from workers.errors import ConfigurationError, WorkersError


def open_storage(url: str, *, setting: str, **options: Any) -> tuple[Any, str]:
    """Return fsspec's file system for an address and the path there, without a slash at its end.

    Args:
        url: a folder, or an address such as `s3://bucket/prefix`.
        setting: the environment variable that holds it, for the sentence of an error.
        options: of the file system.

    Raises:
        ConfigurationError: nothing reaches that address.
    """
    try:
        # Listings are not cached: others publish, too.
        files, root = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
    except ImportError as error:
        raise ConfigurationError(
            f"{setting}={url} needs a package that is not installed: {error} "
            f"For S3 that is s3fs: pip install 'secondsight[s3]'"
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{setting}={url}: {error}") from error
    return files, root.rstrip("/")


@contextmanager
def storage_errors(what: str, *passed: type[Exception]) -> Iterator[None]:
    """Tell of a storage that cannot be used now; each kind has errors of its own.

    Args:
        what: the beginning of the sentence.
        passed: errors that are let through, besides WorkersError.

    Raises:
        WorkersError: in the place of all others.
    """
    try:
        yield
    except WorkersError:
        raise
    except Exception as error:
        if isinstance(error, passed):
            raise
        raise WorkersError(f"{what}: {str(error) or repr(error)}") from error
