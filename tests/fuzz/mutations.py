"""What is done to sound bytes, JSON and headers; every choice is that of the generator given."""

import copy
import json
import random
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from tests.fuzz.seeds import Headers

_NUMBERS = (0, 1, 2, 7, 8, 255, 256, 32_767, 65_535, 65_536, 2**24 - 1, 2**31 - 1, 2**32 - 1)
_LAYOUTS = ("<B", "<H", ">H", "<I", ">I")

_VALUES: Sequence[Any] = (
    *(None, True, False, 0, -1, 1, 2**53, 2**63, 2**64, -(2**63), 10**400, 0.5, 1e308, -0.0),
    *("", " ", "0", "1", "é", "\u200b", "\u202e", "\x00", "\n", "\ud800", "😀" * 129, "x" * 600),
    *("2026-02-30T12:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"),
    *("2026-01-31T12:00:60Z", "２０２６-01-31T12:00:00Z", "2026-01-31T12:00:00.1234567891Z"),
    *("data:,", "file:///etc/passwd", "http://[", "s3://", "javascript:x", "XXX", "gbp", "KWD"),
    *([], {}, [[]], [None] * 13, {"": {}}, [{}] * 1_000),
)
_TEXTS = (
    *(b"NaN", b"-Infinity", b"1e400", b"-", b"01", b"1.", b'"\\ud800"', b'"\\u0000"', b"'x'"),
    *(b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5_000, b"/**/1", b"\xef\xbb\xbf", b"\xff\xfe"),
)
_HEADER_VALUES = (
    *(None, b"", b"\xff", b"\x00", b"x" * 600, b"1.0", b"0.3", "é".encode(), b" ", b"\xed\xa0\x80"),
    *(b"application/json; charset=utf-8", b"application/cloudevents+json", b"9" * 5_000),
    *(b"com.secondsight.item.sold.v1", b"com.secondsight.item.sold.v2", b".v", b"a.v999999999"),
    *(b"2026-01-31T12:00:00Z", b"0001-01-01T00:00:00+23:59", b"2026-02-30T12:00:00Z", b"today"),
)


def mutate_bytes(data: bytes, others: Sequence[bytes], choice: random.Random) -> bytes:
    """Damage bytes at one to six places, half of them near the start, where the structure is."""
    mutated = bytearray(data)
    for _ in range(choice.randint(1, 6)):
        reach = choice.choice((min(200, len(mutated)), len(mutated)))
        start = choice.randrange(reach + 1)
        end = start + choice.randint(1, 12)
        match choice.randrange(9):
            case 0:
                mutated[start:end] = choice.randbytes(end - start)
            case 1:
                mutated[start:start] = choice.randbytes(end - start)
            case 2:
                del mutated[start:end]
            case 3:
                mutated[start:start] = mutated[start:end] * choice.randint(1, 60)
            case 4:
                mutated[start:end] = choice.choice((b"\xff", b"\0", b"\x7f")) * (end - start)
            case 5 if start < len(mutated):
                mutated[start] ^= 1 << choice.randrange(8)
            case 6:
                layout = choice.choice(_LAYOUTS)
                size = struct.calcsize(layout)
                number = choice.choice(_NUMBERS) & (256**size - 1)
                mutated[start : start + size] = struct.pack(layout, number)
            case 7:
                other = choice.choice(others)
                cut = choice.randrange(len(other) + 1)
                mutated[start:] = other[cut:]
            case _ if choice.random() < 0.2:
                del mutated[end:]
    return bytes(mutated)


def mutate_image(data: bytes, others: Sequence[bytes], choice: random.Random) -> bytes:
    """Damage an image; of a PNG, half of the time, inside one chunk whose checksums hold then.

    Without that, hardly a damaged PNG would get past its checksums to the code behind them.
    """
    if data.startswith(b"\x89PNG") and choice.random() < 0.5:
        return _mutate_chunk(data, choice)
    return mutate_bytes(data, others, choice)


def _mutate_chunk(png: bytes, choice: random.Random) -> bytes:
    chunks = []
    position = 8
    while position < len(png):
        (length,) = struct.unpack_from(">I", png, position)
        chunks.append((png[position + 4 : position + 8], png[position + 8 : position + 8 + length]))
        position += length + 12
    at = choice.randrange(len(chunks))
    kind, content = chunks[at]
    if kind == b"IDAT" and (kind, content) == next(each for each in chunks if each[0] == kind):
        content = zlib.compress(mutate_bytes(zlib.decompress(content), [content], choice))
    else:
        content = mutate_bytes(content, [b"", content], choice)
    chunks[at] = (kind, content)
    return png[:8] + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def mutate_event(
    headers: Headers, value: bytes, others: Sequence[bytes], choice: random.Random
) -> tuple[Headers, bytes | None]:
    """Damage the JSON, its bytes, the headers, or several of them."""
    value_now: bytes | None = value
    touched = choice.choice((1, 1, 1, 2, 2, 2, 4, 3, 7))
    if touched & 1:
        value_now = _mutate_json(value, choice)
    if touched & 2:
        headers = _mutate_headers(headers, choice)
    if touched & 4 and value_now is not None:
        value_now = mutate_bytes(value_now, others, choice)
    return headers, None if choice.random() < 0.01 else value_now


def _mutate_json(value: bytes, choice: random.Random) -> bytes:
    fields = json.loads(value)
    marker = "\0put here\0"
    for _ in range(choice.choice((1, 1, 1, 2, 3))):
        place: Any = fields
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = choice.choice(keys)
            if isinstance(place[key], dict | list) and choice.random() < 0.7:
                place = place[key]
                continue
            match choice.randrange(5):
                case 0:
                    del place[key]
                case 1 if isinstance(place, dict):
                    place[choice.choice(("", "extra", f"{key} "))] = place[key]
                case 2:
                    place[key] = marker
                case _:
                    place[key] = copy.deepcopy(choice.choice(_VALUES))
            break
    text = json.dumps(fields, ensure_ascii=choice.random() < 0.5).encode(errors="surrogatepass")
    text = text.replace(json.dumps(marker).encode(), choice.choice(_TEXTS))
    if choice.random() < 0.05:  # a key twice
        text = text[:-1] + b"," + text[1:]
    return text


def _mutate_headers(headers: Headers, choice: random.Random) -> Headers:
    mutated = list(headers)
    for _ in range(choice.choice((1, 1, 1, 2, 3))):
        at = choice.randrange(len(mutated))
        name, value = mutated[at]
        match choice.randrange(5):
            case 0 if len(mutated) > 1:
                del mutated[at]
            case 1:
                mutated.append((name, choice.choice(_HEADER_VALUES)))
            case 2:
                mutated[at] = (choice.choice((name.upper(), "", "ce_" + "x" * 300)), value)
            case 3:
                mutated[at] = (name, mutate_bytes(value or b"", [b"", b"1.0"], choice))
            case _:
                mutated[at] = (name, choice.choice(_HEADER_VALUES))
    return tuple(mutated)
