import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFile, ImageOps

from models.errors import UnreadableImageError
from models.images.decode import DECODED_SIDE, decode_image
from models.images.limits import ImageLimits

Encode = Callable[..., bytes]
Render = Callable[..., Image.Image]


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_of(width: int, height: int, *extra: bytes) -> bytes:
    """A grey PNG of one bit a pixel, valid to the last row."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + (width + 7) // 8) * height), 9)
    parts = (chunk(b"IHDR", header), *extra, chunk(b"IDAT", rows), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("kind", "options", "error"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 2),
        ("JPEG", {"quality": 95, "subsampling": 0}, 2),
        ("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}, 2),
    ],
)
def test_each_accepted_format_gives_back_the_pixels(
    encode: Encode, render: Render, kind: str, options: dict[str, object], error: int
) -> None:
    photo = render(320, 240)
    decoded = decode_image(encode(photo, kind, **options))
    assert (decoded.mode, decoded.size) == ("RGB", (320, 240))
    difference = np.abs(np.asarray(decoded, int) - np.asarray(photo, int))
    assert difference.mean() <= error  # of 255; those that lose something blur colour at edges
    assert decoded.info == {}


def test_twenty_thousand_squared_is_refused_by_its_header() -> None:
    data = png_of(20_000, 20_000)
    assert len(data) < 60_000
    with pytest.raises(UnreadableImageError, match=r"20,000 x 20,000 pixels, the limit is 51,000"):
        decode_image(data)


def test_refusals_by_size_never_start_a_decoder(
    encode: Encode, render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    monkeypatch.setattr(Image, "open", lambda *args, **_: opened.append(args))
    lossy = bytearray(encode(render(64, 64), "WEBP"))
    lossy[26:30] = struct.pack("<HH", 16383, 16383)
    extended = bytearray(encode(Image.new("RGBA", (64, 64), (9, 9, 9, 9)), "WEBP", exif=b"E" * 9))
    assert extended[12:16] == b"VP8X"
    extended[24:30] = b"\xff\xff\x00" * 2
    gif = bytearray(encode(render(64, 64), "GIF"))
    gif[6:10] = struct.pack("<HH", 60_000, 60_000)
    bmp = bytearray(encode(render(64, 64), "BMP"))
    bmp[18:26] = struct.pack("<ii", 50_000, -50_000)
    jpeg = bytearray(encode(render(64, 64), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    for data in (lossy, extended, gif, bmp, jpeg, png_of(8_000, 7_000)):
        with pytest.raises(UnreadableImageError, match="pixels, the limit is"):
            decode_image(bytes(data))
    with pytest.raises(UnreadableImageError, match="must have 8"):
        decode_image(png_of(1, 1))
    for strip in (png_of(64, 790_000), png_of(1281, 64)):
        with pytest.raises(UnreadableImageError, match="more than 20 times the other"):
            decode_image(strip)
    assert opened == []


def test_twenty_to_one_is_still_a_photo() -> None:
    assert decode_image(png_of(1280, 64)).size == (1280, 64)
    assert decode_image(png_of(8, 160)).size == (8, 160)


def test_byte_limit_is_inclusive(encode: Encode, render: Render) -> None:
    data = encode(render(64, 64), "PNG")
    assert decode_image(data, ImageLimits(max_bytes=len(data))).size == (64, 64)
    with pytest.raises(UnreadableImageError, match="bytes, the limit is"):
        decode_image(data, ImageLimits(max_bytes=len(data) - 1))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"hello, this is no photo at all", "unknown kind is not accepted"),
        (b"%PDF-1.7\n", "PDF document is not accepted"),
        (b"<svg xmlns='x'/>", "SVG"),
        (b"  <!DOCTYPE html><html>", "web page"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"II*\0" + bytes(40), "TIFF"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "unknown kind"),
        (b"\xff\xd8\xff", "ends inside its header"),
        (b"\xff\xd8\xff\xd9", "JPEG without pixels"),
        (b"\x89PNG\r\n\x1a\n", "PNG without a header"),
        (b"GIF89a", "ends inside its header"),
        (b"BM", "ends inside its header"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "ends inside its header"),
    ],
)
def test_what_is_no_photo_is_named(data: bytes, message: str) -> None:
    with pytest.raises(UnreadableImageError, match=message):
        decode_image(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_half_a_photo_is_unreadable(encode: Encode, render: Render, kind: str) -> None:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    data = encode(render(320, 240), kind)
    with pytest.raises(UnreadableImageError, match=f"the {kind} photo cannot be decoded"):
        decode_image(data[: len(data) // 2])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(encode: Encode, render: Render, orientation: int) -> None:
    upright = render(320, 240)
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    tag = Image.Exif()
    tag[ExifTags.Base.Orientation] = undo
    sideways = upright.copy()
    sideways.info["exif"] = tag.tobytes()
    stored = ImageOps.exif_transpose(sideways)  # laid down so that the tag below rights it
    tag[ExifTags.Base.Orientation] = orientation
    decoded = decode_image(encode(stored, "PNG", exif=tag.tobytes()))
    np.testing.assert_array_equal(np.asarray(decoded), np.asarray(upright))


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0" + b"\xff" * 40,
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x09\0\0\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0\0\0\0\0",
    ],
)
def test_broken_exif_does_not_spoil_the_pixels(encode: Encode, render: Render, exif: bytes) -> None:
    photo = render(320, 240)
    for kind in ("JPEG", "PNG", "WEBP"):
        assert decode_image(encode(photo, kind, exif=exif)).size == (320, 240)


def test_grey_cmyk_and_one_bit(encode: Encode) -> None:
    grey = decode_image(encode(Image.new("L", (16, 16), 77), "PNG"))
    assert grey.getpixel((3, 3)) == (77, 77, 77)
    bits = decode_image(encode(Image.new("1", (16, 16), 1), "PNG"))
    assert bits.getpixel((3, 3)) == (255, 255, 255)
    cyan = decode_image(encode(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=100))
    red, green, blue = np.asarray(cyan)[8, 8]
    assert red < 5
    assert min(green, blue) > 250


def test_sixteen_bits_are_scaled_not_clipped(encode: Encode) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    decoded = np.asarray(decode_image(encode(Image.fromarray(ramp), "PNG")))
    np.testing.assert_array_equal(decoded[..., 0], ramp // 256)


def test_transparency_is_laid_on_white(encode: Encode) -> None:
    half_red = Image.new("RGBA", (16, 16), (255, 0, 0, 128))
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        red, green, blue = np.asarray(decode_image(encode(half_red, kind, **options)))[4, 4]
        assert red == 255
        assert green == blue == pytest.approx(255 * (1 - 128 / 255), abs=1)
    palette = Image.new("P", (16, 16), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    for kind in ("PNG", "GIF"):
        clear = decode_image(encode(palette, kind, transparency=1))
        assert clear.getpixel((4, 4)) == (255, 255, 255)
        opaque = decode_image(encode(palette, kind))
        assert opaque.getpixel((4, 4)) == (10, 20, 30)
    grey = Image.new("LA", (16, 16), (40, 0))
    assert decode_image(encode(grey, "PNG")).getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(encode: Encode, kind: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert decode_image(data).getpixel((16, 16)) == (255, 0, 0)


def test_multi_picture_jpeg_of_a_phone(encode: Encode, render: Render) -> None:
    data = encode(render(320, 240), "MPO", save_all=True, append_images=[render(32, 24)])
    assert decode_image(data).size == (320, 240)


def test_what_follows_the_pixels_is_not_read(encode: Encode, render: Render) -> None:
    data = encode(render(64, 64), "JPEG")
    archive = b"PK\x03\x04" + bytes(100) + b"<script>alert(1)</script>"
    both = np.asarray(decode_image(data + archive))
    np.testing.assert_array_equal(both, np.asarray(decode_image(data)))


def test_metadata_bombs() -> None:
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000), 9))
    with pytest.raises(UnreadableImageError, match="too large"):
        decode_image(png_of(64, 64, text))
    with pytest.raises(UnreadableImageError, match="more than 20,000 blocks of metadata"):
        decode_image(png_of(64, 64, chunk(b"tEXt", b"a\0b") * 20_000))


def test_many_small_segments(encode: Encode, render: Render) -> None:
    jpeg = encode(render(64, 64), "JPEG")
    segment = b"\xff\xe1\0\x09Exif\0\0x"
    with pytest.raises(UnreadableImageError, match="blocks of metadata"):
        decode_image(jpeg[:2] + segment * 25_000 + jpeg[2:])
    gif = encode(Image.new("L", (64, 64)), "GIF")
    after_palette = 13 + 3 * 2 ** ((gif[10] & 7) + 1)
    comment = b"\x21\xfe" + b"\x01x" * 25_000 + b"\0"
    with pytest.raises(UnreadableImageError, match="blocks of metadata"):
        decode_image(gif[:after_palette] + comment + gif[after_palette:])


def test_a_jpeg_of_endless_scans(encode: Encode, render: Render) -> None:
    jpeg = encode(render(64, 64), "JPEG", progressive=True)
    assert decode_image(jpeg).size == (64, 64)
    last = jpeg.rindex(b"\xff\xda")
    with pytest.raises(UnreadableImageError, match="scans, the limit is 64"):
        decode_image(jpeg[:-2] + jpeg[last:-2] * 70 + jpeg[-2:])


@pytest.mark.parametrize(
    ("size", "scale"),
    [((4160, 4400), 8), ((2200, 2080), 4), ((1040, 1500), 2), ((1036, 1500), 1)],
)
def test_large_jpegs_come_smaller(
    encode: Encode, render: Render, size: tuple[int, int], scale: int
) -> None:
    photo = render(*size)
    decoded = decode_image(encode(photo, "JPEG", quality=95))
    assert decoded.size == (size[0] // scale, size[1] // scale)
    assert min(decoded.size) >= DECODED_SIDE
    expected = photo.resize((64, 64), Image.Resampling.BOX)
    found = decoded.resize((64, 64), Image.Resampling.BOX)
    assert np.abs(np.asarray(found, int) - np.asarray(expected, int)).mean() < 3


def test_threads_do_not_disturb_each_other(encode: Encode, render: Render) -> None:
    kinds = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
    files = [encode(render(200, 150, seed=i), kinds[i % 5]) for i in range(40)]
    alone = [np.asarray(decode_image(data)) for data in files]
    with ThreadPoolExecutor(8) as pool:
        together = [np.asarray(image) for image in pool.map(decode_image, files)]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
