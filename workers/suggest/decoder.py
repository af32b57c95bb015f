"""A process that decodes photos for another one, until its standard input ends.

It has nothing but the bytes: no network connection, no Kafka, no settings. What a hostile photo
does to a decoder it does to this process, whose memory and time are limited.

    python -m workers.suggest.decoder BYTES_OF_MEMORY

A request is the length of its description (4 bytes, little-endian), that of the photo (8), the
description (msgpack) and the photo. An answer is the same with pixels in the photo's place.
"""

import resource
import signal
import struct
import sys
from typing import BinaryIO, NamedTuple

import msgspec

from models.errors import UnreadableImageError
from models.extractors.preprocessing import Preprocessing
from models.images.faults import Fault
from models.images.limits import ImageLimits
from models.prepared_photo import prepare_photo

LENGTHS = struct.Struct("<IQ")


class Request(NamedTuple):
    """How a photo is to be prepared, and after how many seconds the process gives itself up."""

    preprocessing: Preprocessing
    limits: ImageLimits
    seconds: int


class Answer(NamedTuple):
    """What became of it: its faults, or why it is unreadable."""

    faults: tuple[Fault, ...] = ()
    unreadable: str | None = None


def main() -> None:
    """Answer requests, one after the other."""
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # photos of people are not for the disk
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while lengths := source.read(LENGTHS.size):
        described, size = LENGTHS.unpack(lengths)
        request = msgspec.msgpack.decode(source.read(described), type=Request)
        _answer(request, source.read(size), target)


def _answer(request: Request, data: bytes, target: BinaryIO) -> None:
    # Ends the process also where the one that asked is gone and a decoder does not return.
    signal.alarm(request.seconds)
    pixels = b""
    try:
        prepared = prepare_photo(data, request.preprocessing, request.limits)
        answer = Answer(prepared.faults)
        pixels = prepared.pixels.tobytes()
    except UnreadableImageError as error:
        answer = Answer(unreadable=str(error))
    except MemoryError:
        answer = Answer(unreadable="the photo takes more memory than a decoder may have")
    signal.alarm(0)
    described = msgspec.msgpack.encode(answer)
    target.write(LENGTHS.pack(len(described), len(pixels)))
    target.write(described)
    target.write(pixels)
    target.flush()


if __name__ == "__main__":
    main()
