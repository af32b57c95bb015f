"""The bytes of a photo, from wherever its reference points, within limits."""

import asyncio
import hashlib
import random
import re
from contextlib import AsyncExitStack
from functools import partial
from typing import Self

from yarl import URL

from schemas.image import ImageReference
from workers.suggest.breaker import Breaker
from workers.suggest.data_uri import read_data_uri
from workers.suggest.errors import FetchFailedError, FetchRefusedError
from workers.suggest.file_roots import FileRoots
from workers.suggest.object_roots import ObjectRoots
from workers.suggest.threads import AbandonableThreads
from workers.suggest.web import WebPhotos

_REMOTE = re.compile("(https?|s3)://", re.IGNORECASE)
_FILES_AT_ONCE = 8


def host_of(uri: str) -> str:
    """Return the host or bucket that a URI names, however it is spelled, else its scheme."""
    if not _REMOTE.match(uri):
        return uri.partition(":")[0].lower()
    try:
        return (URL(uri).raw_host or "").lower().rstrip(".")
    except ValueError:
        return ""  # malformed, and refused for that


class Fetcher:
    """Fetches photos by scheme: `data:`, `file:`, `s3:`, `http(s):`; to be entered in a loop.

    Args:
        files: reads `file:` URIs.
        web: asks for `http(s):` URIs.
        objects: reads `s3:` URIs; without it all are refused.
        timeout_s: seconds that one photo may take with all its tries.
        tries: how often a photo is asked for while its failures may pass.
        pause_s: the longest pause before the second try; it doubles for each further one.
        breaker: leaves hosts and buckets alone that keep failing.
    """

    def __init__(
        self,
        files: FileRoots,
        web: WebPhotos,
        *,
        objects: ObjectRoots | None = None,
        timeout_s: float = 10.0,
        tries: int = 3,
        pause_s: float = 0.2,
        breaker: Breaker | None = None,
    ) -> None:
        self._files = files
        self._web = web
        self._objects = objects or ObjectRoots((), max_bytes=0)
        self._timeout_s = timeout_s
        self._tries = tries
        self._pause_s = pause_s
        self._breaker = breaker or Breaker()

    async def __aenter__(self) -> Self:
        self._file_threads = AbandonableThreads("files", _FILES_AT_ONCE)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._objects)
            await stack.enter_async_context(self._web)
            self._entered = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._entered.aclose()

    async def fetch(self, reference: ImageReference, *, failed: set[str] | None = None) -> bytes:
        """Return the bytes, checked against the size and SHA-256 that the reference states.

        Args:
            reference: names the photo.
            failed: the hosts that failed other photos of the same listing, to which this adds.
                A listing counts against a host once: its twelve photos shall not make the host
                rest for all.

        Raises:
            FetchRefusedError: the photo may not be fetched, is not there or is not the one
                that the reference describes.
            FetchFailedError: it could not be fetched within the tries and the time.
        """
        data = await self._unless_resting(reference.uri, set() if failed is None else failed)
        if reference.size_bytes is not None and len(data) != reference.size_bytes:
            raise FetchRefusedError(f"has {len(data)} bytes, not {reference.size_bytes}")
        if reference.sha256 is not None and hashlib.sha256(data).hexdigest() != reference.sha256:
            raise FetchRefusedError("differs from the SHA-256 of its reference")
        return data

    async def _unless_resting(self, uri: str, failed: set[str]) -> bytes:
        if not _REMOTE.match(uri):
            return await self._in_time(uri)
        host = host_of(uri)
        self._breaker.check(host)
        try:
            data = await self._in_time(uri)
        except FetchFailedError:
            if host not in failed:
                failed.add(host)
                self._breaker.failed(host)
            raise
        except FetchRefusedError:
            self._breaker.answered(host)
            raise
        self._breaker.answered(host)
        return data

    async def _in_time(self, uri: str) -> bytes:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._persistently(uri)
        except TimeoutError as error:
            raise FetchFailedError(f"took longer than {self._timeout_s} s") from error

    async def _persistently(self, uri: str) -> bytes:
        for attempt in range(1, self._tries):
            try:
                return await self._once(uri)
            except FetchFailedError:
                # Jitter spreads the tries of many photos that failed together.
                pause = self._pause_s * 2 ** (attempt - 1)
                await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311
        return await self._once(uri)

    async def _once(self, uri: str) -> bytes:
        scheme = uri.partition(":")[0].lower()
        if scheme == "data":
            return read_data_uri(uri)
        if scheme == "file":
            return await self._file_threads.run(partial(self._files.read, uri))
        if scheme == "s3":
            return await self._objects.read(uri)
        return await self._web.get(uri)
