"""Bytes of unknown origin to an upright RGB image, or one error that says what is wrong."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image

from models.errors import UnreadableImageError
from models.images.header import read_header
from models.images.limits import DEFAULT_LIMITS, ImageLimits

DECODED_SIDE = 520
"""A JPEG is decoded at 1/2, 1/4 or 1/8 of its size as long as its shorter side keeps this many
pixels: twice the input of the largest network here (260), so that the resize to the input, not
the decoder, decides what the network sees."""

# What Pillow has been seen to raise on hostile bytes. Every decoder has its own idea, and a
# bound method on a broken tag gives the errors of plain Python. MemoryError is among them: sizes
# have been checked before, so it speaks of a false claim inside the file. Cancellation, exit and
# our own errors are not.
_HOSTILE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    EOFError,
    Warning,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Image.Image:
    """Decode one photo; may be called from any thread.

    Bytes, format, size and number of blocks are checked before a decoder is started. Accepted are
    JPEG, PNG, WebP, GIF and BMP. TIFF, AVIF and the rest are not: sellers do not upload them, and
    each decoder is a door. Orientation in EXIF is applied; transparency is laid on white; of an
    animation the first frame is taken; colour profiles are ignored.

    Returns:
        Mode RGB, without metadata. A large JPEG comes at reduced size, see `DECODED_SIDE`.

    Raises:
        UnreadableImageError: the bytes break a limit or cannot be decoded; says which.
    """
    if not data:
        raise UnreadableImageError("the photo is empty")
    if len(data) > limits.max_bytes:
        raise UnreadableImageError(
            f"the photo has {len(data):,} bytes, the limit is {limits.max_bytes:,}"
        )
    header = read_header(data, limits.max_blocks)
    _check_size(header.width, header.height, limits)
    if header.scans > limits.max_scans:
        raise UnreadableImageError(
            f"the photo has {header.scans} scans, the limit is {limits.max_scans}"
        )
    try:
        with Image.open(BytesIO(data), formats=(header.format,)) as image:
            # the file may name its size twice, and the decoder believe the other one
            _check_size(*image.size, limits)
            image.draft(image.mode, (DECODED_SIDE, DECODED_SIDE))
            image.load()
            return _upright(_as_rgb(image), _orientation(image))
    except _HOSTILE as error:
        raise UnreadableImageError(
            f"the {header.format} photo cannot be decoded: {error or type(error).__name__}"
        ) from None


def _check_size(width: int, height: int, limits: ImageLimits) -> None:
    if width * height > limits.max_pixels:
        raise UnreadableImageError(
            f"the photo has {width:,} x {height:,} pixels, the limit is {limits.max_pixels:,}"
        )
    if min(width, height) < limits.min_side:
        raise UnreadableImageError(
            f"the photo has {width} x {height} pixels, the shorter side must have {limits.min_side}"
        )
    if max(width, height) > limits.max_aspect * min(width, height):
        raise UnreadableImageError(
            f"the photo has {width:,} x {height:,} pixels, one side is more than "
            f"{limits.max_aspect} times the other"
        )


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion clips at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        ground = Image.new("RGB", image.size, "white")
        ground.paste(layer, mask=layer.getchannel("A"))
        return ground
    # a copy in any case, as the file's own object keeps its metadata alive
    rgb = image.convert("RGB")
    rgb.info.clear()
    return rgb


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _HOSTILE:
        return 1  # broken metadata does not spoil the pixels


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    method = _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)
