"""Photos fetched and decoded in the background while the network is at work on others."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import structlog

from models.errors import UnreadableImageError
from models.images.faults import Fault
from models.pricer import PreparedPhoto
from schemas.image import ImageReference
from schemas.suggestion import ReuploadReason
from workers.runtime.metrics import SuggestMetrics
from workers.suggest.errors import FetchFailedError, FetchRefusedError
from workers.suggest.fetch import Fetcher

log = structlog.get_logger()

Prepare = Callable[[bytes], PreparedPhoto]

_UNAVAILABLE = Fault(code=ReuploadReason.UNAVAILABLE, weight=1.0)
_UNREADABLE = Fault(code=ReuploadReason.UNREADABLE, weight=1.0)
_LOGGED_CHARACTERS = 200
_LEAVE_S = 5.0  # for cancelled fetches and for closing connections; each takes milliseconds


@dataclass(frozen=True, slots=True)
class Photo:
    """What became of a photo: ready for the network, or left out for its faults, worst first."""

    prepared: PreparedPhoto | None
    faults: tuple[Fault, ...] = ()


class Preparation:
    """Fetches photos in an event loop and decodes them in threads; to be entered before use.

    Args:
        fetcher: gives the bytes.
        metrics: counts photos and their seconds.
        decode_threads: how many photos are decoded at once.
        photos_at_once: how many photos are between the start of their fetch and the end of
            their decoding; with the fetcher's byte limit it bounds the bytes held.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        metrics: SuggestMetrics,
        *,
        decode_threads: int,
        photos_at_once: int = 32,
    ) -> None:
        self._fetcher = fetcher
        self._metrics = metrics
        self._slots = asyncio.Semaphore(photos_at_once)
        self._decoders = ThreadPoolExecutor(decode_threads, thread_name_prefix="decode")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fetch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._fetcher.__aenter__(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._decoders.shutdown(cancel_futures=True)

    def start(
        self, images: Sequence[ImageReference], prepare: Prepare, **about: str | int
    ) -> Future[list[Photo]]:
        """Begin with the photos of a listing; the future has them in the order given.

        Cancelling the future abandons them. An error that is not the photo's own is the future's.

        Args:
            images: where the photos are.
            prepare: decodes the bytes of a photo, judges it and makes a network's input of it;
                called from several threads at once; raises UnreadableImageError.
            about: goes into the log beside a photo that cannot be used.
        """
        work = self._listing(images, prepare, about)
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _listing(
        self, images: Sequence[ImageReference], prepare: Prepare, about: Mapping[str, str | int]
    ) -> list[Photo]:
        return await asyncio.gather(*(self._photo(image, prepare, about) for image in images))

    async def _photo(
        self, image: ImageReference, prepare: Prepare, about: Mapping[str, str | int]
    ) -> Photo:
        async with self._slots:
            try:
                data = await self._fetch(image)
                prepared = await self._loop.run_in_executor(
                    self._decoders, self._decode, data, prepare
                )
            except (FetchRefusedError, FetchFailedError) as error:
                log.info("photo unavailable", uri=_shown(image), error=str(error), **about)
                return Photo(None, (_UNAVAILABLE,))
            except UnreadableImageError as error:
                log.info("photo unreadable", uri=_shown(image), error=str(error), **about)
                return Photo(None, (_UNREADABLE,))
        # The pixels of a photo that is left out are not kept.
        return Photo(None, prepared.faults) if prepared.faults else Photo(prepared)

    async def _fetch(self, image: ImageReference) -> bytes:
        try:
            with self._metrics.stage_seconds.labels("fetch").time():
                data = await self._fetcher.fetch(image)
        except FetchRefusedError:
            self._metrics.fetches.labels("refused").inc()
            raise
        except FetchFailedError:
            self._metrics.fetches.labels("failed").inc()
            raise
        self._metrics.fetches.labels("fetched").inc()
        self._metrics.fetched_bytes.inc(len(data))
        return data

    def _decode(self, data: bytes, prepare: Prepare) -> PreparedPhoto:
        with self._metrics.stage_seconds.labels("decode").time():
            return prepare(data)

    async def _stop(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_LEAVE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                await self._fetcher.__aexit__(None, None, None)


def _shown(image: ImageReference) -> str:
    # Without the query: it may hold a signature that opens the photo to others.
    return image.uri.partition("?")[0][:_LOGGED_CHARACTERS]
