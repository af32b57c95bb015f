"""Files made to deceive: false sizes, packed nothing, metadata without end."""

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from models.errors import UnreadableImageError
from models.images.decode import decode_image
from tests.fuzz.seeds import images

Encode = Callable[..., bytes]
Render = Callable[..., Image.Image]
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    parts = (header, *extra, chunk(b"IDAT", zlib.compress(rows, 9)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def pixels(data: bytes) -> Any:
    return np.asarray(decode_image(data))


def sized(data: bytes, kind: str, width: int, height: int) -> bytes:
    """Rewrite the size in a file's header, so that only the header tells of it."""
    lie = bytearray(data)
    match kind:
        case "JPEG":
            frame = lie.index(b"\xff\xc0")
            struct.pack_into(">HH", lie, frame + 5, height, width)
        case "PNG":
            struct.pack_into(">II", lie, 16, width, height)
            struct.pack_into(">I", lie, 29, zlib.crc32(lie[12:29]))
        case "WEBP":
            struct.pack_into("<HH", lie, 26, width, height)
        case "GIF":
            struct.pack_into("<HH", lie, 6, width, height)
            frame = lie.index(b"\x2c\0\0\0\0")
            struct.pack_into("<HH", lie, frame + 5, width, height)
        case "BMP":
            struct.pack_into("<ii", lie, 18, width, height)
    return bytes(lie)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_bomb_is_refused_by_what_its_header_says(
    encode: Encode, render: Render, kind: str
) -> None:
    data = encode(render(64, 48), kind)
    for width, height in ((16_000, 16_000), (8_000, 6_400)):
        with pytest.raises(UnreadableImageError, match="pixels, the limit is 51,000,000"):
            decode_image(sized(data, kind, width, height))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_header_that_claims_more_than_there_is(encode: Encode, render: Render, kind: str) -> None:
    lie = sized(encode(render(64, 48), kind), kind, 6_000, 4_000)
    if kind == "JPEG":
        # libjpeg fills what is missing with grey, and Pillow does not pass on that it did.
        assert decode_image(lie).size == (1_500, 1_000)
        return
    with pytest.raises(UnreadableImageError, match="cannot be decoded"):
        decode_image(lie)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_header_that_claims_less_gives_no_more_than_it_claims(
    encode: Encode, render: Render, kind: str
) -> None:
    try:
        image = decode_image(sized(encode(render(640, 480), kind), kind, 64, 48))
    except UnreadableImageError:
        return  # a decoder that notices is right as well
    assert image.size == (64, 48)


def memory_kb(name: str) -> int:
    """The resident memory of this process now (VmRSS), or its peak (VmHWM)."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def test_rows_beyond_the_last_one_are_not_unpacked() -> None:
    packer = zlib.compressobj(9)
    rows = packer.compress((b"\0" + bytes(64)) * 64)
    rows += b"".join(packer.compress(bytes(1_000_000)) for _ in range(200)) + packer.flush()
    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(parts)
    assert len(data) < 250_000
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory_kb("VmRSS")

    assert decode_image(data).size == (64, 64)
    assert memory_kb("VmHWM") - before < 60_000  # unpacked they would be 200,000


def test_of_two_sizes_in_a_jpeg_neither_may_break_the_limit(encode: Encode, render: Render) -> None:
    data = encode(render(64, 48), "JPEG")
    frame = data.index(b"\xff\xc0")
    (length,) = struct.unpack_from(">H", data, frame + 2)
    segment = data[frame : frame + 2 + length]
    huge = sized(segment, "JPEG", 60_000, 60_000)
    for both in (segment + huge, huge + segment):
        with pytest.raises(UnreadableImageError):
            decode_image(data[:frame] + both + data[frame + 2 + length :])


def test_of_two_sizes_in_a_webp_neither_may_break_the_limit(encode: Encode) -> None:
    data = bytearray(encode(Image.new("RGBA", (64, 64), (9, 9, 9, 9)), "WEBP", exif=b"E" * 9))
    assert data[12:16] == b"VP8X"
    inner = data.index(b"VP8 ")
    struct.pack_into("<HH", data, inner + 14, 16_383, 16_383)
    with pytest.raises(UnreadableImageError):
        decode_image(bytes(data))


def test_a_frame_of_a_gif_beyond_its_screen(encode: Encode, render: Render) -> None:
    data = bytearray(encode(render(64, 48), "GIF"))
    frame = data.index(b"\x2c\0\0\0\0")
    struct.pack_into("<HHHH", data, frame + 1, 60_000, 60_000, 64, 48)
    with pytest.raises(UnreadableImageError, match=r"60,064 x 60,048 pixels, the limit is"):
        decode_image(bytes(data))


def test_damage_in_a_later_frame_does_not_matter() -> None:
    for kind in ("gif-animated", "png-animated", "jpeg-multi"):
        data = images()[kind]
        damaged = data[: len(data) * 3 // 4] + b"\xff\0" * (len(data) // 8)
        np.testing.assert_array_equal(pixels(damaged), pixels(data))


def test_interlaced_rows_come_in_their_order() -> None:
    np.testing.assert_array_equal(pixels(images()["png-interlaced"]), pixels(images()["bmp"]))


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (6, 4)])
def test_sixteen_bits_of_colour_and_alpha(colour: int, channels: int) -> None:
    deep = np.random.default_rng(5).integers(0, 65_536, (32, 24, channels))
    deep[..., 3:] = 65_535
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)

    np.testing.assert_array_equal(pixels(png(24, 32, 16, colour, rows)), deep[..., :3] // 256)


def test_a_palette_with_an_alpha_for_each_colour(encode: Encode) -> None:
    palette = Image.new("P", (16, 16))
    colours, alphas = [(200, 0, 0), (0, 100, 50), (0, 0, 240)], [0, 128, 255]
    palette.putpalette([level for colour in colours for level in colour])
    palette.putdata([position % 3 for position in range(256)])

    found = pixels(encode(palette, "PNG", transparency=bytes(alphas))).reshape(-1, 3)[:3]
    on_white = [
        [255 + (level - 255) * alpha / 255 for level in colour]
        for colour, alpha in zip(colours, alphas, strict=True)
    ]
    np.testing.assert_allclose(found, on_white, atol=1)


def test_cmyk_is_told_by_its_ink(encode: Encode) -> None:
    inks = {(0, 0, 0, 0): 255, (0, 0, 0, 255): 0, (0, 0, 0, 128): 127, (255, 255, 255, 0): 0}
    for ink, level in inks.items():
        found = pixels(encode(Image.new("CMYK", (16, 16), ink), "JPEG", quality=100))
        np.testing.assert_allclose(found, level, atol=3)


UPRIGHT: dict[int, Callable[[Any], Any]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_by_turning_the_array(
    encode: Encode, render: Render, kind: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = render(1_200, 1_600)  # of which a JPEG is decoded at half its size
    stored = pixels(encode(photo, kind))

    turned = pixels(encode(photo, kind, exif=exif.tobytes()))
    np.testing.assert_array_equal(turned, UPRIGHT[orientation](stored))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_profiles_and_other_metadata_leave_the_pixels_alone(
    encode: Encode, render: Render, kind: str
) -> None:
    photo = render(64, 48)
    plain = pixels(encode(photo, kind))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    exif = Image.Exif()
    exif[0x010E] = "d" * 60_000  # as much as a segment of a JPEG holds
    for metadata in (
        {"icc_profile": profile},
        {"icc_profile": b"no profile at all"},
        {"icc_profile": bytes(1_000_000)},
        {"exif": exif.tobytes()},
    ):
        decoded = decode_image(encode(photo, kind, **metadata))
        np.testing.assert_array_equal(np.asarray(decoded), plain)
        assert decoded.info == {}


def test_a_packed_profile_without_end_is_refused() -> None:
    profile = chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(50_000_000), 9))
    data = png(16, 16, 8, 0, bytes(17 * 16), profile)
    assert len(data) < 100_000
    with pytest.raises(UnreadableImageError, match="too large"):
        decode_image(data)
