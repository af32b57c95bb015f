"""A reference to a photo: a claim check, never pixels (except small `data:` URIs)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field
from pydantic.functional_validators import AfterValidator

from schemas.base import MAX_EXACT_INTEGER, PRINTABLE

MAX_URI_CHARACTERS = 4096
MAX_DATA_URI_CHARACTERS = 256 * 1024

# A scheme (RFC 3986) and no space or control character: what a URI parser would drop or fold
# must not lie between the check of a URI and its use.
URI = "^[A-Za-z][A-Za-z0-9+.-]*:[^\\u0000-\\u0020\\u007f-\\u009f]+$"


def _bounded_uri(uri: str) -> str:
    limit = MAX_DATA_URI_CHARACTERS if uri[:5].lower() == "data:" else MAX_URI_CHARACTERS
    if len(uri) > limit:
        raise ValueError(f"is longer than {limit} characters")
    return uri


class ImageReference(BaseModel):
    """Where a photo lies, and what is known of it before it is fetched."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    uri: Annotated[
        str,
        Field(
            max_length=MAX_DATA_URI_CHARACTERS,
            pattern=URI,
            description=f"absolute URI; at most {MAX_URI_CHARACTERS} characters unless it is a"
            " data: URI",
            examples=["https://photos.example/1.jpg"],
        ),
        AfterValidator(_bounded_uri),
    ]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    content_type: Annotated[str, Field(min_length=1, max_length=128, pattern=PRINTABLE)] | None = (
        None
    )
    size_bytes: Annotated[int, Field(ge=1, le=MAX_EXACT_INTEGER, strict=True)] | None = None


Images = Annotated[tuple[ImageReference, ...], Field(min_length=1, max_length=12), FailFast()]
"""The 1 to 12 photos of a listing, the main one first.

Reading stops at the first bad one, so that an array of a million bad ones costs nothing.
"""
