"""Photos carried inside the event itself, as `data:` URIs (RFC 2397)."""

import base64
import binascii
from urllib.parse import unquote_to_bytes

from schemas.image import MAX_DATA_URI_CHARACTERS
from workers.suggest.errors import FetchRefusedError


def read_data_uri(uri: str) -> bytes:
    """Return the bytes of a `data:` URI, base64 or percent-encoded.

    Raises:
        FetchRefusedError: it is too long, has no comma or is not valid base64.
    """
    if len(uri) > MAX_DATA_URI_CHARACTERS:
        raise FetchRefusedError(f"a data: URI is longer than {MAX_DATA_URI_CHARACTERS} characters")
    head, comma, body = uri.partition(",")
    if not comma:
        raise FetchRefusedError("a data: URI has no comma")
    data = unquote_to_bytes(body)
    if not head.lower().endswith(";base64"):
        return data
    try:
        # Writers often leave the padding out.
        return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except binascii.Error as error:
        raise FetchRefusedError(f"a data: URI is not valid base64: {error}") from error
