"""Hosts that keep failing rest, and nobody else waits for them."""

import asyncio

import pytest

from schemas.image import ImageReference
from tests.workers.suggest.conftest import PhotoHost
from workers.suggest.allow_list import AllowList
from workers.suggest.breaker import Breaker
from workers.suggest.errors import FetchFailedError, FetchRefusedError
from workers.suggest.fetch import Fetcher
from workers.suggest.file_roots import FileRoots
from workers.suggest.web import WebPhotos

LIMIT = 100_000


def test_a_host_that_keeps_failing_rests(host: PhotoHost, photo: bytes) -> None:
    now = 100.0
    web = WebPhotos(
        AllowList(["127.0.0.1"], ports=[host.port]), allow_private=True, max_bytes=LIMIT
    )
    fetcher = Fetcher(
        FileRoots([], max_bytes=LIMIT),
        web,
        tries=1,
        breaker=Breaker(failures=2, rest_s=10, clock=lambda: now),
    )

    async def outcomes(*paths: str) -> list[str]:
        found = []
        async with fetcher:
            for path in paths:
                try:
                    await fetcher.fetch(ImageReference(uri=host.url(path)))
                    found.append("fetched")
                except (FetchFailedError, FetchRefusedError) as error:
                    found.append(str(error)[-8:])
        return found

    # Answers of any kind end the row of failures.
    steady = asyncio.run(
        outcomes("/status/500", "/photo", "/status/500", "/status/404", "/status/500")
    )
    assert steady == ["ered 500", "fetched", "ered 500", "ered 404", "ered 500"]
    resting = asyncio.run(outcomes("/status/500", "/photo", "/photo?x"))
    assert resting == ["ered 500", "nd rests", "nd rests"]
    assert len(host.asked) == 6
    now += 10
    assert asyncio.run(outcomes("/status/500", "/photo")) == ["ered 500", "nd rests"]
    now += 10
    assert asyncio.run(outcomes("/photo", "/status/500", "/photo")) == [
        "fetched",
        "ered 500",
        "fetched",
    ]


def test_the_photos_of_one_listing_do_not_make_their_host_rest_for_all(
    host: PhotoHost, photo: bytes
) -> None:
    breaker = Breaker(failures=3, clock=lambda: 100.0)
    web = WebPhotos(
        AllowList(["127.0.0.1"], ports=[host.port]), allow_private=True, max_bytes=LIMIT
    )
    fetcher = Fetcher(FileRoots([], max_bytes=LIMIT), web, tries=1, breaker=breaker)

    async def failing(photos: int) -> None:
        failed: set[str] = set()
        for number in range(photos):
            reference = ImageReference(uri=host.url(f"/status/500?{number}"))
            with pytest.raises(FetchFailedError, match="500"):
                await fetcher.fetch(reference, failed=failed)

    async def work() -> None:
        async with fetcher:
            for _ in range(2):
                await failing(photos=8)
            await failing(photos=1)  # the third listing
            with pytest.raises(FetchFailedError, match="3 times in a row and rests"):
                await fetcher.fetch(ImageReference(uri=host.url("/photo")))

    asyncio.run(work())


def test_a_resting_host_does_not_hold_up_other_places() -> None:
    breaker = Breaker(failures=1)
    breaker.failed("a.test")
    fetcher = Fetcher(
        FileRoots([], max_bytes=LIMIT),
        WebPhotos(AllowList(["a.test"]), allow_private=False, max_bytes=LIMIT),
        breaker=breaker,
    )

    async def of(uri: str) -> bytes:
        async with fetcher:
            return await fetcher.fetch(ImageReference(uri=uri))

    with pytest.raises(FetchFailedError, match="rests"):
        asyncio.run(of("HTTPS://A.test?photo"))
    assert asyncio.run(of("data:,photo")) == b"photo"


def test_the_hosts_remembered_are_bounded() -> None:
    breaker = Breaker(failures=1)
    for number in range(1_001):
        breaker.failed(f"{number}.test")

    breaker.check("0.test")  # the oldest one is forgotten
    with pytest.raises(FetchFailedError):
        breaker.check("1.test")
    with pytest.raises(FetchFailedError):
        breaker.check("1000.test")
