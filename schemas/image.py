"""A reference to a photo: a claim check, never pixels (except small `data:` URIs)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.functional_validators import AfterValidator

MAX_URI_CHARACTERS = 4096
MAX_DATA_URI_CHARACTERS = 256 * 1024


def _bounded_uri(uri: str) -> str:
    scheme, separator, rest = uri.partition(":")
    if not separator or not rest or not scheme.isascii() or not scheme[:1].isalpha():
        raise ValueError("must be an absolute URI, such as https://host/path")
    limit = MAX_DATA_URI_CHARACTERS if scheme.lower() == "data" else MAX_URI_CHARACTERS
    if len(uri) > limit:
        raise ValueError(f"is longer than {limit} characters")
    return uri


class ImageReference(BaseModel):
    """Where a photo lies, and what is known of it before it is fetched."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    uri: Annotated[str, Field(min_length=1), AfterValidator(_bounded_uri)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    content_type: Annotated[str, Field(max_length=128)] | None = None
    size_bytes: Annotated[int, Field(ge=1, strict=True)] | None = None


Images = Annotated[tuple[ImageReference, ...], Field(min_length=1, max_length=12)]
"""The 1 to 12 photos of a listing, the main one first."""
