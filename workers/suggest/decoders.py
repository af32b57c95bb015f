"""Photos decoded in processes of their own: one that dies takes one photo along, nothing else."""

import asyncio
import os
import sys
from collections.abc import Sequence
from math import ceil
from typing import Self

import msgspec
import numpy as np
import structlog

from models.errors import UnreadableImageError
from models.extractors.preprocessing import Preprocessing
from models.images.limits import ImageLimits
from models.prepared_photo import PreparedPhoto
from workers.runtime.metrics import SuggestMetrics
from workers.suggest.decoder import LENGTHS, Answer, Request

log = structlog.get_logger(__name__)

_COMMAND = (sys.executable, "-P", "-m", "workers.suggest.decoder")  # -P: not from where it runs
_GRACE_S = 5  # beyond the time limit, after which a decoder that nobody kills ends itself
_PASSED_ON = ("HOME", "LANG", "LC_", "LD_LIBRARY_PATH", "PATH", "PYTHON", "TMPDIR", "TZ")
_ANSWER_BYTES = 64 * 1024  # at most; a dozen faults take one
_BUFFER_BYTES = 1 << 20  # an answer of 260 x 260 pixels has 203 KB


class DecoderDiedError(Exception):
    """The process ended in the middle of a photo, or has gone wrong."""


class Decoders:
    """A pool of decoder processes; to be entered and used within one event loop.

    A photo that a decoder dies of is tried once more in a new one, since another cause than the
    photo may have killed it; then it is unreadable. So is one that takes too long.

    Args:
        metrics: counts how decoders end, and their seconds.
        processes: how many photos are decoded at once.
        memory_bytes: address space of a process. Of what the limits allow, a WebP of 51 million
            pixels with transparency takes the most: 1154 MiB, 124 of them before any photo.
        limits: what a photo may cost.
        timeout_s: seconds that a photo may take.
        photos_each: after how many photos a process is replaced: what a decoder leaks or has
            corrupted goes with it, at 0.4 s of a core each time.
        command: what is run; the memory limit is appended.
    """

    def __init__(
        self,
        metrics: SuggestMetrics,
        *,
        processes: int,
        memory_bytes: int,
        limits: ImageLimits,
        timeout_s: float = 10.0,
        photos_each: int = 2_000,
        command: Sequence[str] = _COMMAND,
    ) -> None:
        self._metrics = metrics
        self._processes = processes
        self._command = [*command, str(memory_bytes)]
        self._limits = limits
        self._timeout_s = timeout_s
        self._photos_each = photos_each

    async def __aenter__(self) -> Self:
        # None stands for a process that is yet to be started.
        self._idle: asyncio.LifoQueue[_Decoder | None] = asyncio.LifoQueue()
        for decoder in await asyncio.gather(*(self._start() for _ in range(self._processes))):
            self._idle.put_nowait(decoder)
        return self

    async def __aexit__(self, *_: object) -> None:
        while not self._idle.empty():
            if (decoder := self._idle.get_nowait()) is not None:
                await decoder.end()

    async def prepare(self, data: bytes, preprocessing: Preprocessing) -> PreparedPhoto:
        """Decode, judge and scale one photo.

        Raises:
            UnreadableImageError: the bytes are no photo, break a limit, take too long or too
                much memory, or crash the decoder.
            OSError: no process can be started.
        """
        seconds = ceil(self._timeout_s) + _GRACE_S
        described = msgspec.msgpack.encode(Request(preprocessing, self._limits, seconds))
        try:
            return await self._try(described, data, preprocessing.size)
        except DecoderDiedError as error:
            log.warning("a decoder died, the photo is tried once more", error=str(error))
        try:
            return await self._try(described, data, preprocessing.size)
        except DecoderDiedError as error:
            raise UnreadableImageError(f"decoding the photo crashes: {error}") from None

    async def _try(self, described: bytes, data: bytes, side: int) -> PreparedPhoto:
        decoder = await self._idle.get()
        cause = "cancelled"
        try:
            if decoder is None:
                decoder = await self._start()
            async with asyncio.timeout(self._timeout_s):
                with self._metrics.stage_seconds.labels("decode").time():
                    answer, pixels = await decoder.ask(described, data, 3 * side * side)
            cause = "recycled" if decoder.photos >= self._photos_each else ""
        except TimeoutError:
            cause = "overtime"
            raise UnreadableImageError(f"decoding takes longer than {self._timeout_s} s") from None
        except DecoderDiedError:
            cause = "crashed"
            raise
        finally:
            if cause:
                self._metrics.decoder_ends.labels(cause).inc()
                if decoder is not None:
                    decoder.kill()
                decoder = None
            self._idle.put_nowait(decoder)
        if answer.unreadable is not None:
            raise UnreadableImageError(answer.unreadable)
        squashed = np.frombuffer(pixels, np.uint8).reshape(side, side, 3)
        return PreparedPhoto(squashed, answer.faults)

    async def _start(self) -> "_Decoder":
        # Passwords and keys are in the environment, and of no use to what decodes photos.
        environment = {k: v for k, v in os.environ.items() if k.startswith(_PASSED_ON)}
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_BUFFER_BYTES,
            # One thread a decoder; each further one takes address space, whether it runs or not.
            env={**environment, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            # Ctrl-C in a terminal is for the worker, which drains before it lets decoders go.
            start_new_session=True,
        )
        return _Decoder(process)


class _Decoder:
    """One process, asked one photo at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.photos = 0

    async def ask(
        self, described: bytes, data: bytes, pixels_expected: int
    ) -> tuple[Answer, bytes]:
        """Return the answer, which is not trusted, and the pixels.

        Raises:
            DecoderDiedError: the process ended, or what it says is no answer.
        """
        source, target = self._process.stdout, self._process.stdin
        assert source is not None  # noqa: S101  both were asked for
        assert target is not None  # noqa: S101
        try:
            target.write(LENGTHS.pack(len(described), len(data)) + described)
            target.write(data)
            await target.drain()
            size, pixels = LENGTHS.unpack(await source.readexactly(LENGTHS.size))
            if size > _ANSWER_BYTES or pixels not in (0, pixels_expected):
                raise DecoderDiedError("its answer has a wrong length")
            answer = msgspec.msgpack.decode(await source.readexactly(size), type=Answer)
            self.photos += 1
            if (answer.unreadable is None) != (pixels > 0):
                raise DecoderDiedError("its answer has no pixels, or too many")
            return answer, await source.readexactly(pixels)
        except msgspec.MsgspecError:
            raise DecoderDiedError("its answer cannot be read") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise DecoderDiedError(f"exit code {await self._process.wait()}") from None

    def kill(self) -> None:
        """End the process at once; its event loop reaps it."""
        if self._process.returncode is None:
            self._process.kill()

    async def end(self) -> None:
        """Let the process end by itself, as it does when nothing more can come."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.close()
        await self._process.wait()
