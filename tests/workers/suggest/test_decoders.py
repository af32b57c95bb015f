"""Decoder processes: what kills one costs the photo that did it, and nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
import pytest
from PIL import Image
from prometheus_client import CollectorRegistry

from models.errors import UnreadableImageError
from models.images.limits import DEFAULT_LIMITS, ImageLimits
from models.prepared_photo import prepare_photo
from tests.workers.suggest.conftest import SQUASH
from workers.runtime.metrics import SuggestMetrics
from workers.suggest.decoder import LENGTHS
from workers.suggest.decoders import Decoders

T = TypeVar("T")
MEMORY = 1536 * 1024 * 1024
DEADLINE_S = 60.0

# A decoder as it is, but for photos that begin with what is to be done: each hostile in its way.
HOSTILE = """
import os, signal, sys, threading
from workers.suggest import decoder

prepare = decoder.prepare_photo

def hostile(data, preprocessing, limits):
    if data == b"die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if data == b"hang":
        threading.Event().wait()
    if data == b"die once" and not os.path.exists(sys.argv[2]):
        open(sys.argv[2], "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if data == b"large":
        return bytearray(4 << 30)
    if data == b"environment":
        raise decoder.UnreadableImageError(repr(sorted(os.environ)))
    return prepare(photo if data == b"die once" else data, preprocessing, limits)

photo = open(sys.argv[1], "rb").read()
sys.argv[1] = sys.argv[3]
decoder.prepare_photo = hostile
decoder.main()
"""


def jpeg(level: int, side: int = 300) -> bytes:
    blocks = np.random.default_rng(level).integers(0, 256, (side // 10, side // 10, 3))
    pixels = blocks.astype(np.uint8).repeat(10, axis=0).repeat(10, axis=1)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.fixture
def decoders(registry: CollectorRegistry, tmp_path: Path) -> Callable[..., Decoders]:
    (tmp_path / "photo").write_bytes(jpeg(1))
    hostile = [sys.executable, "-c", HOSTILE, str(tmp_path / "photo"), str(tmp_path / "died")]

    def make(**options: Any) -> Decoders:
        known: dict[str, Any] = {
            "processes": 2,
            "memory_bytes": MEMORY,
            "limits": DEFAULT_LIMITS,
            "timeout_s": DEADLINE_S,
            "command": hostile,
        }
        return Decoders(SuggestMetrics(registry), **(known | options))

    return make


def run(pool: Decoders, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    async def entered() -> T:
        async with pool:
            return await asyncio.wait_for(work(), DEADLINE_S)

    return asyncio.run(entered())


def ends(registry: CollectorRegistry) -> dict[str, float]:
    causes = ("crashed", "overtime", "cancelled", "recycled")
    name = "secondsight_decoder_ends_total"
    found = {cause: registry.get_sample_value(name, {"cause": cause}) or 0.0 for cause in causes}
    return {cause: count for cause, count in found.items() if count}


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if _decodes(child)]


def _decodes(process: psutil.Process) -> bool:
    try:
        return "decoder" in " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):  # it ended since it was listed
        return False


def test_photos_come_out_as_they_do_in_this_process(
    decoders: Callable[..., Decoders], registry: CollectorRegistry
) -> None:
    photos = [jpeg(level, side=(40, 300)[level % 2]) for level in range(24)]
    pool = decoders()

    async def work() -> list[Any]:
        return await asyncio.gather(*(pool.prepare(photo, SQUASH) for photo in photos))

    found = run(pool, work)

    for photo, prepared in zip(photos, found, strict=True):
        expected = prepare_photo(photo, SQUASH)
        assert np.array_equal(prepared.pixels, expected.pixels)
        assert prepared.faults == expected.faults
    assert {len(prepared.faults) for prepared in found} >= {0, 1}  # 40 pixels are too few
    assert ends(registry) == {}


def test_only_the_photos_that_crash_or_hang_are_unreadable(
    decoders: Callable[..., Decoders], registry: CollectorRegistry
) -> None:
    photos = [jpeg(level) for level in range(30)]
    photos[7] = photos[19] = b"die"
    photos[3] = b"hang"
    photos[11] = b"large"
    photos[13] = b"no photo"
    pool = decoders(timeout_s=3.0)

    async def work() -> list[Any]:
        waiting = (pool.prepare(photo, SQUASH) for photo in photos)
        return await asyncio.gather(*waiting, return_exceptions=True)

    found = run(pool, work)

    wrong = {n: str(each) for n, each in enumerate(found) if isinstance(each, BaseException)}
    assert wrong.keys() == {3, 7, 11, 13, 19}
    assert all(isinstance(found[n], UnreadableImageError) for n in wrong)
    assert "crashes: exit code -11" in wrong[7]
    assert "longer than 3.0 s" in wrong[3]
    assert "more memory" in wrong[11]
    # Each of the two was tried in two decoders.
    assert ends(registry) == {"crashed": 4, "overtime": 1}


def test_a_photo_whose_decoder_was_killed_by_something_else_is_tried_again(
    decoders: Callable[..., Decoders], registry: CollectorRegistry
) -> None:
    pool = decoders(processes=1)

    prepared = run(pool, lambda: pool.prepare(b"die once", SQUASH))

    assert np.array_equal(prepared.pixels, prepare_photo(jpeg(1), SQUASH).pixels)
    assert ends(registry) == {"crashed": 1}


def test_decoders_are_replaced_after_so_many_photos(
    decoders: Callable[..., Decoders], registry: CollectorRegistry
) -> None:
    pool = decoders(processes=1, photos_each=3)
    seen: set[int] = set()

    async def work() -> None:
        for level in range(8):
            seen.update(child.pid for child in children())
            await pool.prepare(jpeg(level), SQUASH)

    run(pool, work)

    assert len(seen) == 3
    assert ends(registry) == {"recycled": 2}
    assert children() == []


def test_one_who_no_longer_waits_leaves_no_decoder_behind_in_the_middle_of_a_photo(
    decoders: Callable[..., Decoders], registry: CollectorRegistry
) -> None:
    pool = decoders(processes=1)

    async def work() -> Any:
        waiting = asyncio.ensure_future(pool.prepare(b"hang", SQUASH))
        while not pool._idle.empty():  # until it has its decoder
            await asyncio.wait([waiting], timeout=0.001)
        waiting.cancel()
        await asyncio.wait([waiting])
        return await pool.prepare(jpeg(2), SQUASH)

    prepared = run(pool, work)

    assert np.array_equal(prepared.pixels, prepare_photo(jpeg(2), SQUASH).pixels)
    assert ends(registry) == {"cancelled": 1}


def test_limits_travel_along_and_settings_do_not(
    decoders: Callable[..., Decoders], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECONDSIGHT_KAFKA_OPTIONS", '{"sasl.password": "secret"}')
    photo = jpeg(1)
    pool = decoders(limits=ImageLimits(max_bytes=len(photo) - 1))

    async def work() -> list[Any]:
        waiting = (pool.prepare(data, SQUASH) for data in (photo, b"environment"))
        return await asyncio.gather(*waiting, return_exceptions=True)

    limited, environment = run(pool, work)

    assert "bytes, the limit is" in str(limited)
    assert "PATH" in str(environment)
    assert "SECONDSIGHT" not in str(environment)


def test_the_largest_photo_that_the_limits_allow_fits_into_the_memory(
    registry: CollectorRegistry,
) -> None:
    # Of all formats a WebP with transparency takes the most; here 50.9 million pixels.
    file = BytesIO()
    image = Image.new("RGBA", (8160, 6240), (90, 90, 90, 128))
    image.save(file, "WEBP", lossless=True, quality=0, method=0)
    pool = Decoders(
        SuggestMetrics(registry),
        processes=1,
        memory_bytes=MEMORY,
        limits=DEFAULT_LIMITS,
        timeout_s=DEADLINE_S,
    )

    prepared = run(pool, lambda: pool.prepare(file.getvalue(), SQUASH))

    assert prepared.pixels.shape == (8, 8, 3)
    assert ends(registry) == {}


def test_a_decoder_ends_with_the_one_that_asked_it() -> None:
    command = [sys.executable, "-m", "workers.suggest.decoder", str(MEMORY)]
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({command!r}, stdin=0)"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    described = b"\x93\x80\x80\x01"  # no preprocessing: it fails, having been read
    parent.stdin.write(LENGTHS.pack(len(described), 0))
    parent.stdin.flush()
    (decoder,) = _wait_for_child(parent.pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdin.close()
    psutil.wait_procs([decoder], timeout=DEADLINE_S)
    assert not decoder.is_running()


def _wait_for_child(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    found: list[psutil.Process] = []
    while not found:
        assert process.is_running()
        found = process.children()
    return found


# A decoder that was taken over: it says whatever the lengths and bytes given let it say.
LYING = """
import struct, sys
size, pixels, answer = int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3])
sys.stdout.buffer.write(struct.pack("<IQ", size, pixels) + answer)
sys.stdout.buffer.flush()
sys.stdin.buffer.read()
"""


@pytest.mark.parametrize(
    ("size", "pixels", "answer"),
    [
        (1 << 31, 0, b""),
        (1, 1 << 40, b"\x90"),
        (1, 7, b"\x90" + bytes(7)),
        (1, 0, b"\x90"),  # neither pixels nor why there are none
        (4, 0, b"\xc1" * 4),  # no MessagePack
    ],
)
def test_a_decoder_is_not_believed(
    decoders: Callable[..., Decoders],
    registry: CollectorRegistry,
    size: int,
    pixels: int,
    answer: bytes,
) -> None:
    lying = [sys.executable, "-c", LYING, str(size), str(pixels), answer.hex()]
    pool = decoders(processes=1, command=lying)

    async def work() -> None:
        with pytest.raises(UnreadableImageError, match="its answer"):
            await pool.prepare(jpeg(1), SQUASH)

    run(pool, work)
    assert ends(registry) == {"crashed": 2}


ENVIRONMENT = """
import msgspec, os, struct, sys
answer = msgspec.msgpack.encode(((), " ".join(os.environ)))
sys.stdout.buffer.write(struct.pack("<IQ", len(answer), 0) + answer)
sys.stdout.buffer.flush()
sys.stdin.buffer.read()
"""


def test_a_decoder_is_given_no_credentials(
    decoders: Callable[..., Decoders], monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = ["AWS_SECRET_ACCESS_KEY", "OTEL_EXPORTER_OTLP_HEADERS", "SECONDSIGHT_KAFKA_OPTIONS"]
    for name in secrets:
        monkeypatch.setenv(name, "secret")
    pool = decoders(processes=1, command=[sys.executable, "-c", ENVIRONMENT])

    async def work() -> set[str]:
        with pytest.raises(UnreadableImageError) as refused:
            await pool.prepare(jpeg(1), SQUASH)
        return set(str(refused.value).split())

    seen = run(pool, work)
    assert "PATH" in seen
    assert not seen & set(secrets)
