"""Real encodings, damaged: the answer is an image or our error, nothing else."""

import warnings
from io import BytesIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from models.errors import UnreadableImageError
from models.images.decode import decode_image
from models.images.limits import ImageLimits

LIMITS = ImageLimits(max_pixels=4_000_000)


def encodings() -> list[bytes]:
    noise = np.random.default_rng(1).integers(0, 255, (24, 40, 4), np.uint8)
    colour = Image.fromarray(noise[..., :3])
    alpha = Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8769] = 6, "maker", {0x9003: "2020:01:01 00:00:00"}
    saved: list[tuple[Image.Image, str, dict[str, object]]] = [
        (colour, "JPEG", {"exif": exif.tobytes(), "icc_profile": b"i" * 300}),
        (colour, "JPEG", {"progressive": True, "comment": b"c" * 30}),
        (colour.convert("CMYK"), "JPEG", {}),
        (colour, "MPO", {"save_all": True, "append_images": [colour]}),
        (alpha, "PNG", {"exif": exif.tobytes(), "icc_profile": b"i" * 300}),
        (colour.quantize(16), "PNG", {"transparency": 3}),
        (Image.fromarray(noise[..., 0].astype(np.uint16) * 257), "PNG", {}),
        (colour, "PNG", {"save_all": True, "append_images": [colour.rotate(180)]}),
        (colour, "WEBP", {"exif": exif.tobytes()}),
        (alpha, "WEBP", {"lossless": True}),
        (alpha, "WEBP", {"save_all": True, "append_images": [alpha.rotate(180)]}),
        (colour, "GIF", {"save_all": True, "append_images": [colour.rotate(90)], "comment": b"c"}),
        (colour, "BMP", {}),
        (colour.quantize(16), "BMP", {}),
    ]
    files = []
    for image, kind, options in saved:
        buffer = BytesIO()
        image.save(buffer, kind, **options)
        files.append(buffer.getvalue())
    return files


ENCODINGS = encodings()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(ENCODINGS)))
    for _ in range(draw(st.integers(1, 6))):
        # half of the damage in the first bytes, where the structure is
        reach = draw(st.sampled_from([min(160, len(data)), len(data)]))
        start = draw(st.integers(0, max(0, reach - 1)))
        end = start + draw(st.integers(1, 12))
        match draw(st.sampled_from(["write", "insert", "remove", "repeat", "extreme", "cut"])):
            case "write":
                data[start:end] = draw(st.binary(min_size=end - start, max_size=end - start))
            case "insert":
                data[start:start] = draw(st.binary(min_size=1, max_size=12))
            case "remove":
                del data[start:end]
            case "repeat":
                data[start:start] = data[start:end] * draw(st.integers(1, 50))
            case "extreme":
                data[start:end] = draw(st.sampled_from([b"\xff", b"\0", b"\x7f"])) * (end - start)
            case "cut":
                del data[end:]
    return bytes(data)


def outcome(data: bytes) -> str:
    try:
        image = decode_image(data, LIMITS)
    except UnreadableImageError:
        return "refused"
    assert image.mode == "RGB"
    assert min(image.size) >= LIMITS.min_side
    assert image.width * image.height <= LIMITS.max_pixels
    return "decoded"


@pytest.mark.parametrize("data", ENCODINGS)
def test_undamaged_they_decode(data: bytes) -> None:
    assert outcome(data) == "decoded"


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=damaged())
def test_damage_gives_an_image_or_our_error(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of broken metadata that it steps over
        outcome(data)


@settings(max_examples=200, deadline=None)
@given(data=damaged())
def test_the_same_where_warnings_are_errors(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome(data)


@settings(max_examples=200, deadline=None)
@given(
    start=st.sampled_from(sorted({data[:16] for data in ENCODINGS})),
    rest=st.binary(max_size=200),
)
def test_a_signature_before_noise(start: bytes, rest: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert outcome(start + rest) in {"refused", "decoded"}
