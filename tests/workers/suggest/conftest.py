import asyncio
import gzip
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from aiohttp import web

PHOTO = bytes(range(256)) * 40


class PhotoHost:
    """A web server on loopback that behaves well on some paths and badly on others."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run)

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
        self._done = asyncio.Event()
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._started.set()
        await self._done.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        match request.path:
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
