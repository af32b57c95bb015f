"""Sound images of every accepted kind and sound events, all made by code: what is mutated."""

import struct
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from schemas import cloudevents
from schemas.base import Event
from schemas.image import ImageReference
from schemas.listing import ListingCreated, ListingEnriched
from schemas.sale import ItemSold
from schemas.statistics import Scope, ScopeStatistics, Statistics

Headers = tuple[tuple[str, bytes | None], ...]

_WIDTH, _HEIGHT = 72, 48  # several blocks of every coder, and a file that is quickly read
_TIME = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)


@cache
def images() -> Mapping[str, bytes]:
    """Return the encoded images by what they are; the same bytes in every process."""
    slope = np.linspace(0, 200, _WIDTH)[None, :, None]
    noise = np.random.default_rng(1).integers(0, 55, (_HEIGHT, _WIDTH, 4))
    alpha = Image.fromarray((slope + noise).astype(np.uint8))
    colour = alpha.convert("RGB")
    deep = Image.fromarray(np.asarray(colour)[..., 0].astype(np.uint16) * 257)
    turned = [colour.rotate(90), colour.rotate(180)]
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8769] = 6, "maker", {0x9003: "2020:01:01 00:00:00"}
    more: dict[str, Any] = {"exif": exif.tobytes(), "icc_profile": b"i" * 300}
    palette = colour.quantize(16)
    frames: dict[str, Any] = {"save_all": True, "append_images": turned, "duration": 40}
    return {
        "jpeg": _encoded(colour, "JPEG", **more),
        "jpeg-progressive": _encoded(colour, "JPEG", progressive=True, comment=b"c" * 30),
        "jpeg-cmyk": _encoded(colour.convert("CMYK"), "JPEG"),
        "jpeg-grey": _encoded(colour.convert("L"), "JPEG", optimize=True),
        "jpeg-multi": _encoded(colour, "MPO", save_all=True, append_images=turned),
        "png": _encoded(alpha, "PNG", **more),
        "png-grey-16": _encoded(deep, "PNG"),
        "png-palette-alpha": _encoded(palette, "PNG", transparency=bytes(range(0, 256, 16))),
        "png-interlaced": _interlaced(colour),
        "png-animated": _encoded(colour, "PNG", **frames),
        "gif": _encoded(palette, "GIF", transparency=3, comment=b"c" * 30),
        "gif-animated": _encoded(colour, "GIF", **frames),
        "webp": _encoded(colour, "WEBP", **more),
        "webp-lossless": _encoded(alpha, "WEBP", lossless=True),
        "webp-animated": _encoded(alpha, "WEBP", **frames),
        "bmp": _encoded(colour, "BMP"),
        "bmp-palette": _encoded(palette, "BMP"),
    }


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _interlaced(image: Image.Image) -> bytes:
    """Encode a PNG by Adam7, which Pillow reads but does not write."""
    pixels = np.asarray(image)
    rows = bytearray()
    # first column and row of each pass, and the steps between them (PNG, section 8.2)
    for x, y, dx, dy in (
        *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
        *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
    ):
        for row in pixels[y::dy, x::dx]:
            rows += b"\0" + row.tobytes()

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 1)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@cache
def events() -> Mapping[str, tuple[Headers, bytes]]:
    """Return headers and value of sound events by what they are."""
    created: dict[str, Any] = {
        "listing_id": "listing-1",
        "seller_id": "seller-1",
        "category": "Clothing > Shoes",
        "currency": "GBP",
        "images": (
            ImageReference(
                uri="https://photos.example/1.jpg",
                sha256="0" * 64,
                content_type="image/jpeg",
                size_bytes=12_345,
            ),
            ImageReference(uri="data:image/png;base64,iVBORw0KGgo="),
        ),
        "listed_at": _TIME,
    }
    scope = ScopeStatistics(q1=900, q2=1_200, q3=2_000, mean=1_450, count=7, source=Scope.SELLER)
    whole = scope.model_copy(update={"source": Scope.GLOBAL})
    statistics = Statistics(currency="GBP", seller=scope, category=scope, overall=whole)
    sold = ItemSold(
        transaction_id="transaction-1",
        listing_id="listing-1",
        seller_id="seller-1",
        category="Clothing > Shoes",
        price_minor=1_999,
        currency="GBP",
        sold_at=_TIME,
    )
    return {
        "listing.created": _record(ListingCreated(**created)),
        "listing.enriched": _record(ListingEnriched(**created, statistics=statistics)),
        "item.sold": _record(sold),
    }


def _record(event: Event) -> tuple[Headers, bytes]:
    headers = cloudevents.encode(
        event,
        event_id="event-1",
        source="/shop",
        time=_TIME,
        subject="listing-1",
        traceparent=b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    return tuple(headers), event.to_bytes()
