"""The announcement of a model bundle."""

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.base import Event, Id, UtcTime


class ModelPublished(Event):
    """A bundle may be loaded from `uri`; workers check its manifest against `manifest_sha256`."""

    event_type: ClassVar[str] = "model.published"

    model_version: Id
    uri: Annotated[str, Field(min_length=1, max_length=4096)]
    manifest_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    backbone: Id
    metrics: dict[str, float] = {}
    parent_version: Id | None = None
    published_at: UtcTime
