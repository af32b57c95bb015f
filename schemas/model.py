"""The announcement of a model bundle."""

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.base import PRINTABLE, Event, Id, UtcTime
from schemas.image import MAX_URI_CHARACTERS


class ModelPublished(Event):
    """A bundle may be loaded from `uri`; workers check its manifest against `manifest_sha256`."""

    event_type: ClassVar[str] = "model.published"

    model_version: Id
    uri: Annotated[str, Field(min_length=1, max_length=MAX_URI_CHARACTERS, pattern=PRINTABLE)]
    manifest_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    backbone: Id
    metrics: Annotated[dict[Id, float], Field(max_length=256)] = {}
    parent_version: Id | None = None
    published_at: UtcTime
