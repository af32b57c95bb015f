"""Format and size of a photo from its container's structure alone, before a decoder sees it.

Each walk touches at most `max_blocks` blocks, so its cost does not depend on what the file claims.
Layouts: JPEG ITU-T T.81 annex B, PNG (third edition) section 5, GIF89a, WebP container, BMP.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from models.errors import UnreadableImageError

# SOF0 to SOF15; C4, C8 and CC in their midst are tables, not frames
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE_MARKERS = frozenset(range(0xD0, 0xD9)) | {0x00, 0x01}  # no length follows
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_GIF_IMAGE, _GIF_EXTENSION = 0x2C, 0x21


@dataclass(frozen=True)
class Header:
    """What a file says of itself: `format` as Pillow names it, sizes in pixels.

    `scans` is 1 but for a progressive JPEG.
    """

    format: str
    width: int
    height: int
    scans: int = 1


def read_header(data: bytes, max_blocks: int) -> Header:
    """Read format and size.

    Raises:
        UnreadableImageError: not one of JPEG, PNG, GIF, WebP, BMP; the file ends inside its
            header; or it has more than `max_blocks` blocks before its pixels.
    """
    for signature, read in _READERS.items():
        if data.startswith(signature) and (signature != b"RIFF" or data[8:12] == b"WEBP"):
            try:
                return read(data, max_blocks)
            except (struct.error, IndexError, ValueError):
                raise UnreadableImageError("the photo ends inside its header") from None
    raise UnreadableImageError(
        f"{_kind_of(data)} is not accepted as a photo: JPEG, PNG, WebP, GIF or BMP are"
    )


def _kind_of(data: bytes) -> str:
    if data[4:8] == b"ftyp":
        return "an HEIC or AVIF photo or a video"
    start = data[:64].lstrip().lower()
    for signature, kind in _REFUSED.items():
        if start.startswith(signature):
            return kind
    return "a file of unknown kind"


_REFUSED = {
    b"%pdf": "a PDF document",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML document",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"ii*\0": "a TIFF image",
    b"mm\0*": "a TIFF image",
    b"{": "a JSON document",
}


def _counted(max_blocks: int) -> Iterator[int]:
    yield from range(max_blocks)
    raise UnreadableImageError(f"the photo has more than {max_blocks:,} blocks of metadata")


def _jpeg(data: bytes, max_blocks: int) -> Header:
    size: tuple[int, int] | None = None
    position = 2
    for _ in _counted(max_blocks):
        position = data.index(0xFF, position)
        while data[position] == 0xFF:  # any number of fill bytes may precede a marker
            position += 1
        marker = data[position]
        position += 1
        if marker == _JPEG_SCAN:
            break
        if marker == _JPEG_END:
            raise UnreadableImageError("the photo is a JPEG without pixels")
        if marker in _JPEG_BARE_MARKERS:
            continue
        (length,) = struct.unpack_from(">H", data, position)
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 3)
            size = width, height
        position += length
    if size is None:
        raise UnreadableImageError("the photo is a JPEG without a size")
    # inside coded data FF is always followed by 00 or a restart marker, so this counts scans
    return Header("JPEG", *size, scans=1 + data.count(b"\xff\xda", position))


def _png(data: bytes, max_blocks: int) -> Header:
    if data[12:16] != b"IHDR":
        raise UnreadableImageError("the photo is a PNG without a header chunk")
    width, height = struct.unpack_from(">II", data, 16)
    position = 8
    for _ in _counted(max_blocks):
        if position + 8 > len(data):
            break
        (length,) = struct.unpack_from(">I", data, position)
        position += 12 + length
    return Header("PNG", width, height)


def _gif(data: bytes, max_blocks: int) -> Header:
    screen_width, screen_height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _gif_palette(flags)
    blocks = _counted(max_blocks)
    for _ in blocks:
        introducer = data[position]
        if introducer == _GIF_IMAGE:
            left, top, width, height = struct.unpack_from("<HHHH", data, position + 1)
            return Header("GIF", max(screen_width, left + width), max(screen_height, top + height))
        position += 1
        if introducer == _GIF_EXTENSION:
            position += 1
            while length := data[position]:
                position += 1 + length
                next(blocks)
            position += 1
    raise AssertionError("the count of blocks ends the loop")


def _gif_palette(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(data: bytes, _max_blocks: int) -> Header:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return Header("WEBP", width, height)


def _bmp(data: bytes, _max_blocks: int) -> Header:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    layout = "<HH" if header_bytes == 12 else "<ii"
    width, height = struct.unpack_from(layout, data, 18)
    return Header("BMP", width, abs(height))  # a negative height means rows from the top


_READERS: dict[bytes, Callable[[bytes, int], Header]] = {
    b"\xff\xd8\xff": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"GIF87a": _gif,
    b"GIF89a": _gif,
    b"RIFF": _webp,
    b"BM": _bmp,
}
