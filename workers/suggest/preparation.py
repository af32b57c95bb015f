"""Photos fetched and decoded in the background while the network is at work on others."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Protocol, Self

import structlog

from models.errors import UnreadableImageError
from models.extractors.preprocessing import Preprocessing
from models.images.faults import Fault
from models.prepared_photo import PreparedPhoto
from schemas.image import ImageReference
from schemas.suggestion import ReuploadReason
from workers.runtime.metrics import SuggestMetrics
from workers.suggest.errors import FetchFailedError, FetchRefusedError
from workers.suggest.fetch import Fetcher, host_of
from workers.suggest.slots import Slots

log = structlog.get_logger()


class Decoding(Protocol):
    """Whatever decodes photos: `workers.suggest.decoders.Decoders`."""

    async def __aenter__(self) -> object:
        """Begin; in the event loop in which it is used."""

    async def __aexit__(self, *details: object) -> None:
        """End."""

    async def prepare(self, data: bytes, preprocessing: Preprocessing) -> PreparedPhoto:
        """Decode, judge and scale one photo; raises UnreadableImageError."""


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
    """Fetches photos in an event loop and has them decoded; to be entered before use.

    Args:
        fetcher: gives the bytes.
        decoders: make a network's input of them.
        metrics: counts photos and their seconds.
        photos_at_once: how many photos are between the start of their fetch and the end of
            their decoding; with the fetcher's byte limit it bounds the bytes held.
        photos_of_a_host: how many of them may be of one host: a slow one leaves room for others.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        decoders: Decoding,
        metrics: SuggestMetrics,
        *,
        photos_at_once: int,
        photos_of_a_host: int,
    ) -> None:
        self._fetcher = fetcher
        self._decoders = decoders
        self._metrics = metrics
        self._slots = Slots(photos_at_once, of_a_host=photos_of_a_host)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fetch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(
        self, images: Sequence[ImageReference], preprocessing: Preprocessing, **about: str | int
    ) -> Future[list[Photo]]:
        """Begin with the photos of a listing; the future has them in the order given.

        Cancelling the future abandons them. An error that is not the photo's own is the future's.

        Args:
            images: where the photos are.
            preprocessing: of the network that they are for.
            about: goes into the log beside a photo that cannot be used.
        """
        work = self._listing(images, preprocessing, about)
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _listing(
        self,
        images: Sequence[ImageReference],
        preprocessing: Preprocessing,
        about: Mapping[str, str | int],
    ) -> list[Photo]:
        failed: set[str] = set()
        return await asyncio.gather(
            *(self._photo(image, preprocessing, failed, about) for image in images)
        )

    async def _photo(
        self,
        image: ImageReference,
        preprocessing: Preprocessing,
        failed: set[str],
        about: Mapping[str, str | int],
    ) -> Photo:
        async with AsyncExitStack() as slot:
            with self._metrics.photos.labels("wait").track_inprogress():
                await slot.enter_async_context(self._slots.taken(host_of(image.uri)))
            return await self._in_slot(image, preprocessing, failed, about)

    async def _in_slot(
        self,
        image: ImageReference,
        preprocessing: Preprocessing,
        failed: set[str],
        about: Mapping[str, str | int],
    ) -> Photo:
        try:
            with self._metrics.photos.labels("fetch").track_inprogress():
                data = await self._fetch(image, failed)
            with self._metrics.photos.labels("decode").track_inprogress():
                prepared = await self._decoders.prepare(data, preprocessing)
        except (FetchRefusedError, FetchFailedError) as error:
            log.info("photo unavailable", uri=_shown(image), error=str(error), **about)
            return Photo(None, (_UNAVAILABLE,))
        except UnreadableImageError as error:
            log.info("photo unreadable", uri=_shown(image), error=str(error), **about)
            return Photo(None, (_UNREADABLE,))
        # The pixels of a photo that is left out are not kept.
        return Photo(None, prepared.faults) if prepared.faults else Photo(prepared)

    async def _fetch(self, image: ImageReference, failed: set[str]) -> bytes:
        try:
            with self._metrics.stage_seconds.labels("fetch").time():
                data = await self._fetcher.fetch(image, failed=failed)
        except FetchRefusedError:
            self._metrics.fetches.labels("refused").inc()
            raise
        except FetchFailedError:
            self._metrics.fetches.labels("failed").inc()
            raise
        self._metrics.fetches.labels("fetched").inc()
        self._metrics.fetched_bytes.inc(len(data))
        return data

    async def _start(self) -> None:
        await self._fetcher.__aenter__()
        await self._decoders.__aenter__()

    async def _stop(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_LEAVE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                await self._decoders.__aexit__(None, None, None)
                await self._fetcher.__aexit__(None, None, None)


def _shown(image: ImageReference) -> str:
    # Without the query: it may hold a signature that opens the photo to others.
    return image.uri.partition("?")[0][:_LOGGED_CHARACTERS]
