from __future__ import annotations

import asyncio
import base64
import gzip
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from aiohttp import web
from PIL import Image
from prometheus_client import CollectorRegistry

from models.extractors.preprocessing import Preprocessing
from models.images.decode import decode_image
from models.images.faults import Fault
from models.prepared_photo import PreparedPhoto
from models.pricer import Estimate, Pricer
from schemas import cloudevents
from schemas.image import ImageReference
from schemas.listing import ListingCreated, ListingEnriched
from schemas.partitioner import partition_for
from schemas.statistics import Scope, ScopeStatistics, Statistics
from schemas.suggestion import PriceSuggested, ReuploadReason, ReuploadRequested
from workers.runtime.metrics import RoutingMetrics, SuggestMetrics
from workers.runtime.processing import Later, Output, Record, Rejected
from workers.runtime.routing import SellerRouter
from workers.suggest.allow_list import AllowList
from workers.suggest.fetch import Fetcher
from workers.suggest.file_roots import FileRoots
from workers.suggest.lineup import Lineup
from workers.suggest.preparation import Preparation
from workers.suggest.processor import SuggestProcessor
from workers.suggest.web import WebPhotos

PARTITIONS = 4
DEADLINE_S = 20.0
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HAPPENED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PHOTO = bytes(range(256)) * 40
SQUASH = Preprocessing(size=8, mean=(0, 0, 0), std=(256, 256, 256), resample="bilinear")


class PhotoHost:
    """A web server on loopback that behaves well on some paths and badly on others."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def let_go(self) -> None:
        """Answer those who ask for /held."""
        self._loop.call_soon_threadsafe(self._held.set)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._done, self._held = asyncio.Event(), asyncio.Event()
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._started.set()
        await self._done.wait()
        self._held.set()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        match request.path:
            case "/held":
                await self._held.wait()
                return web.Response(body=PHOTO)
            case "/photo":
                return web.Response(body=PHOTO)
            case "/empty":
                return web.Response(body=b"")
            case "/redirect":
                return web.Response(status=302, headers={"Location": request.query["to"]})
            case "/redirect-nowhere":
                return web.Response(status=302)
            case "/loop":
                return web.Response(status=307, headers={"Location": "/loop"})
            case "/countdown":
                left = int(request.query["n"])
                to = "/photo" if left == 1 else f"/countdown?n={left - 1}"
                return web.Response(status=301, headers={"Location": to})
            case "/gzip-bomb":
                bomb = gzip.compress(bytes(50_000_000))
                return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})
            case "/flaky" if self.asked.count("/flaky") < 3:
                return web.Response(status=503)
            case "/flaky":
                return web.Response(body=PHOTO)
            case "/endless" | "/slow" | "/short" | "/claims-much" | "/stuck":
                return await self._misbehave(request)
            case _:
                return web.Response(status=int(request.path.removeprefix("/status/")))

    async def _misbehave(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.force_close()
        if request.path == "/stuck":
            await self._done.wait()
        if request.path == "/short":
            response.content_length = len(PHOTO) + 1
        if request.path == "/claims-much":
            response.content_length = 1 << 40
        with suppress(ConnectionError):  # the client has had enough
            await response.prepare(request)
            await response.write(PHOTO)
            while request.path == "/endless":
                await response.write(PHOTO)
        if request.path in ("/slow", "/claims-much"):
            await self._done.wait()
        return response


@pytest.fixture
def host() -> Iterator[PhotoHost]:
    server = PhotoHost()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def photo() -> bytes:
    """What the host answers on /photo."""
    return PHOTO


class MeanPricer:
    """Prices a photo by its mean grey level: 10 units a level; below 50 the gate rejects.

    A mean level below 10 is a photo fault (too dark).
    """

    currency = "GBP"
    range_probability = 0.8

    def __init__(self, version: str = "mean-1", *, factor: float = 1.0, size: int = 1) -> None:
        self.version = version
        self.factor = factor  # of its prices
        self.preprocessing = size  # models of one size want photos alike and have equal features
        self.image_fingerprint = f"mean-{size}"
        self.passes: list[int] = []
        self.during_pass: Callable[[], None] = lambda: None
        self.prepared = threading.Semaphore(0)

    def prepare(self, data: bytes) -> PreparedPhoto:
        level = np.asarray(decode_image(data), dtype=np.float32).mean()
        dark = (Fault(code=ReuploadReason.TOO_DARK, weight=0.5),)
        self.prepared.release()
        return PreparedPhoto(
            pixels=np.full((1, 1, 3), level, np.uint8), faults=dark if level < 10 else ()
        )

    def features(self, photos: Sequence[PreparedPhoto]) -> Any:
        self.passes.append(len(photos))
        self.during_pass()
        return np.stack([photo.pixels.reshape(3) for photo in photos])

    def estimate(
        self, features: Any, statistics: Sequence[Statistics], categories: Sequence[str]
    ) -> list[Estimate]:
        assert len(features) == len(statistics) == len(categories)
        return [
            Estimate(
                price_minor=round(level * 10 * self.factor),
                low_minor=round(level * 9 * self.factor),
                high_minor=round(level * 11 * self.factor),
                score=level,
                confidence=0.5,
                qualified=bool(level >= 50),
            )
            for level in features[:, 0].tolist()
        ]


class InProcess:
    """Decodes in threads of the test, with the pricer's own `prepare`."""

    def __init__(self, prepare: Callable[[bytes], PreparedPhoto]) -> None:
        self._prepare = prepare

    async def __aenter__(self) -> InProcess:
        return self

    async def __aexit__(self, *details: object) -> None:
        pass

    async def prepare(self, data: bytes, preprocessing: object) -> PreparedPhoto:
        return await asyncio.to_thread(self._prepare, data)


class Scene:
    """What tests of the processor say often."""

    @staticmethod
    def grey(level: int) -> str:
        file = BytesIO()
        Image.new("RGB", (16, 16), (level, level, level)).save(file, "PNG")
        return Scene.data_uri(file.getvalue())

    @staticmethod
    def data_uri(data: bytes) -> str:
        return "data:;base64," + base64.b64encode(data).decode()

    @staticmethod
    def enriched(
        *uris: str, seller: str = "seller-1", currency: str = "GBP", **more: Any
    ) -> ListingEnriched:
        scope = ScopeStatistics(q1=1, q2=2, q3=3, mean=2, count=5, source=Scope.SELLER)
        return ListingEnriched(
            listing_id=more.pop("listing_id", "listing-1"),
            seller_id=seller,
            category="Toys",
            currency=currency,
            images=tuple(ImageReference(uri=uri) for uri in uris),
            listed_at=HAPPENED,
            statistics=Statistics(
                currency=more.pop("statistics_currency", currency),
                seller=scope,
                category=scope,
                overall=scope,
            ),
            **more,
        )

    @staticmethod
    def record(event: ListingCreated, offset: int = 0, partition: int | None = None) -> Record:
        home = partition_for(event.seller_id.encode(), PARTITIONS)
        return Record(
            topic="listing.enriched",
            partition=home if partition is None else partition,
            offset=offset,
            timestamp_ms=1_700_000_000_000 + offset,
            key=event.seller_id.encode(),
            value=event.to_bytes(),
            headers=cloudevents.encode(
                event,
                event_id=f"event-{offset}",
                source="/secondsight/stats",
                time=HAPPENED,
                subject=event.listing_id,
                traceparent=TRACE,
            ),
        )

    @staticmethod
    def read(result: Output | Rejected) -> PriceSuggested | ReuploadRequested:
        assert isinstance(result, Output), result
        event, _ = cloudevents.decode(
            result.headers, result.value, accept=[PriceSuggested, ReuploadRequested]
        )
        assert isinstance(event, PriceSuggested | ReuploadRequested)
        return event

    @staticmethod
    def answers(
        processor: SuggestProcessor, *records: Record
    ) -> list[PriceSuggested | ReuploadRequested]:
        processor.arrived(records)
        return [Scene.read(result) for result in Scene.processed(processor, records)]

    @staticmethod
    def processed(
        processor: SuggestProcessor, records: Sequence[Record]
    ) -> list[Output | Rejected]:
        """Process records until none is put off any more, as the loop does."""
        found: list[Output | Rejected] = []
        while records:
            results = processor.process(records)
            found += [result for result in results if not isinstance(result, Later)]
            records = [result.record for result in results if isinstance(result, Later)]
            if records and len(records) < len(results):
                processor.committed({})
        return found

    @staticmethod
    def reasons(event: PriceSuggested | ReuploadRequested) -> list[tuple[str, int | None]]:
        assert isinstance(event, ReuploadRequested), event
        return [(reason.code.value, reason.image) for reason in event.reasons]

    @staticmethod
    def wait_until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        ticks = threading.Event()
        while not condition():
            assert time.monotonic() < deadline
            ticks.wait(0.005)


@pytest.fixture
def pricer() -> MeanPricer:
    return MeanPricer()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def build(
    pricer: MeanPricer, registry: CollectorRegistry, tmp_path: Path
) -> Callable[..., SuggestProcessor]:
    """Gives a processor whose photos may come from `tmp_path` and from `host`."""

    def build(
        host: PhotoHost | None = None,
        *,
        timeout_s: float = DEADLINE_S,
        lineup: Callable[[], Lineup] = lambda: Lineup(cast(Pricer, pricer)),
        **options: Any,
    ) -> SuggestProcessor:
        web = WebPhotos(
            AllowList(["127.0.0.1"], ports=[host.port] if host else []),
            allow_private=True,
            max_bytes=1_000_000,
        )
        files = FileRoots([tmp_path], max_bytes=1_000_000)
        metrics = SuggestMetrics(registry)
        return SuggestProcessor(
            lineup,
            Preparation(
                Fetcher(files, web, timeout_s=timeout_s, pause_s=0.01),
                InProcess(pricer.prepare),
                metrics,
                photos_at_once=32,
                photos_of_a_host=8,
            ),
            metrics,
            router=SellerRouter(partitions=PARTITIONS, metrics=RoutingMetrics(registry)),
            **options,
        )

    return build


@pytest.fixture
def start(
    build: Callable[..., SuggestProcessor],
) -> Iterator[Callable[..., SuggestProcessor]]:
    """Gives a processor as `build` does, entered until the test ends."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(build(*args, **options))


@pytest.fixture
def processor(start: Callable[..., SuggestProcessor]) -> SuggestProcessor:
    return start()


@pytest.fixture
def scene() -> Scene:
    return Scene()
