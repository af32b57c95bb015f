"""Files that are two things at once, or begin as one and are another."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.errors import UnreadableImageError
from models.images.decode import decode_image

Encode = Callable[..., bytes]
Render = Callable[..., Image.Image]
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")

PAYLOADS = [
    b"PK\x03\x04" + bytes(40) + b"PK\x05\x06" + bytes(18),
    b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n%%EOF",
    b"<html><script>alert(1)</script></html>",
    b"<?php system($_GET['c']); ?>",
    b"#!/bin/sh\nexit 0\n",
    b"MZ" + bytes(62),
]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_of_two_formats_at_once_only_the_leading_photo_is_read(
    encode: Encode, render: Render, kind: str, payload: bytes
) -> None:
    data = encode(render(64, 48), kind)

    np.testing.assert_array_equal(
        np.asarray(decode_image(data + payload)), np.asarray(decode_image(data))
    )
    with pytest.raises(UnreadableImageError, match="is not accepted as a photo"):
        decode_image(payload + data)


@pytest.mark.parametrize("inner", FORMATS)
@pytest.mark.parametrize("outer", FORMATS)
def test_a_photo_within_another_is_not_seen(
    encode: Encode, render: Render, outer: str, inner: str
) -> None:
    first, second = render(64, 48, seed=1), render(80, 60, seed=2)
    both = encode(first, outer) + encode(second, inner)

    assert decode_image(both).size == (64, 48)


def test_scripts_that_begin_as_photos_do_are_refused() -> None:
    for data in (
        b"GIF89a/*" + bytes(20) + b"*/=1;alert(1)",
        b"BM=1;alert(1)//" + bytes(60),
        b"RIFF=1;/*\0WEBP*/alert(1)" + bytes(40),
        b"\xff\xd8\xff\xe0<script>alert(1)</script>",
    ):
        with pytest.raises(UnreadableImageError):
            decode_image(data)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_decoder_is_the_one_whose_header_was_checked(
    encode: Encode, render: Render, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    opened = Image.open

    def spy(file: BytesIO, formats: Any = None) -> Image.Image:
        asked.append(formats)
        return opened(file, formats=formats)

    monkeypatch.setattr(Image, "open", spy)
    decode_image(encode(render(64, 48), kind))
    assert asked == [(kind,)]
