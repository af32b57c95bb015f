import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from models.prepared_photo import PreparedPhoto
from schemas.image import ImageReference
from tests.workers.suggest.conftest import SQUASH, InProcess
from workers.runtime.metrics import SuggestMetrics
from workers.suggest.allow_list import AllowList
from workers.suggest.errors import FetchFailedError
from workers.suggest.fetch import Fetcher
from workers.suggest.file_roots import FileRoots
from workers.suggest.names import SystemNames
from workers.suggest.preparation import Photo, Preparation
from workers.suggest.web import WebPhotos

DEADLINE_S = 20.0
LOOK_UPS_AT_ONCE = 64


class HangingNames:
    """A `getaddrinfo` that does not answer before it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked = threading.Semaphore(0)
        self.threads: list[threading.Thread] = []

    def getaddrinfo(self, *_args: Any, **_options: Any) -> list[Any]:
        self.threads.append(threading.current_thread())
        self.asked.release()
        self.released.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))]


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingNames]:
    names = HangingNames()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    yield names
    names.released.set()
    for thread in names.threads:
        thread.join(DEADLINE_S)


def fetcher(tmp_path: Path, *, look_up_s: float = 10 * DEADLINE_S) -> Fetcher:
    web = WebPhotos(
        AllowList(["*.photos.test"]),
        allow_private=True,
        max_bytes=1_000,
        connect_timeout_s=look_up_s,
    )
    files = FileRoots([tmp_path], max_bytes=1_000)
    return Fetcher(files, web, timeout_s=10 * DEADLINE_S, tries=1)


def test_names_that_hang_hold_up_neither_files_nor_leaving(
    hanging: HangingNames, registry: CollectorRegistry, tmp_path: Path
) -> None:
    (tmp_path / "photo").write_bytes(b"photo")
    prepared = PreparedPhoto(pixels=np.zeros((1, 1, 3), np.uint8), faults=())
    decoded: list[bytes] = []

    def prepare(data: bytes) -> PreparedPhoto:
        decoded.append(data)
        return prepared

    preparation = Preparation(
        fetcher(tmp_path),
        InProcess(prepare),
        SuggestMetrics(registry),
        photos_at_once=LOOK_UPS_AT_ONCE + 20,
        photos_of_a_host=1,
    )
    answers: list[list[Photo]] = []

    def enter_and_leave() -> None:
        with preparation:
            for number in range(LOOK_UPS_AT_ONCE + 10):
                reference = ImageReference(uri=f"http://{number}.photos.test/photo")
                preparation.start([reference], SQUASH)
            for _ in range(LOOK_UPS_AT_ONCE):
                assert hanging.asked.acquire(timeout=DEADLINE_S)
            local = preparation.start([ImageReference(uri=f"file://{tmp_path}/photo")], SQUASH)
            answers.append(local.result(DEADLINE_S))

    visitor = threading.Thread(target=enter_and_leave, daemon=True)
    visitor.start()
    visitor.join(2 * DEADLINE_S)

    assert not hanging.released.is_set()
    assert not visitor.is_alive()
    assert answers == [[Photo(prepared)]]
    assert decoded == [b"photo"]
    assert len(hanging.threads) == LOOK_UPS_AT_ONCE
    # The interpreter joins every other thread before it ends.
    assert all(thread.is_alive() and thread.daemon for thread in hanging.threads)


def test_a_name_that_hangs_is_a_failure_of_its_photo(hanging: HangingNames, tmp_path: Path) -> None:
    async def once() -> bytes:
        async with fetcher(tmp_path, look_up_s=0.05) as entered:
            return await entered.fetch(ImageReference(uri="http://a.photos.test/photo"))

    with pytest.raises(FetchFailedError, match=r"not looked up within 0\.05 s"):
        asyncio.run(once())
    assert len(hanging.threads) == 1


def test_turns_are_free_again_when_abandoned_look_ups_end(hanging: HangingNames) -> None:
    async def resolve_again() -> int:
        names = SystemNames(timeout_s=0.05)
        stuck = [names.resolve(f"{i}.photos.test") for i in range(LOOK_UPS_AT_ONCE)]
        errors = await asyncio.gather(*stuck, return_exceptions=True)
        assert all(isinstance(error, socket.gaierror) for error in errors)
        with pytest.raises(socket.gaierror, match="not looked up"):
            await names.resolve("b.photos.test")  # no turn is left
        asked = len(hanging.threads)
        hanging.released.set()
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            try:
                (found,) = await names.resolve("b.photos.test", 80)
            except socket.gaierror:
                continue
            assert (found["host"], found["port"]) == ("127.0.0.1", 80)
            return asked
        raise AssertionError("the turns stay taken")

    assert asyncio.run(resolve_again()) == LOOK_UPS_AT_ONCE


def test_the_system_names_this_machine() -> None:
    async def addresses() -> set[str]:
        return {found["host"] for found in await SystemNames(timeout_s=10).resolve("localhost", 80)}

    found = asyncio.run(addresses())
    assert found
    assert found <= {"127.0.0.1", "::1"}


def test_a_name_without_an_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: Any, **_options: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(socket.gaierror, match="not known"):
        asyncio.run(SystemNames(timeout_s=10).resolve("nowhere.test"))
