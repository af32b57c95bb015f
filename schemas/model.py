"""The announcement of a model bundle."""

from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from schemas.base import PRINTABLE, Event, Id, UtcTime
from schemas.image import MAX_URI_CHARACTERS


class ModelRole(StrEnum):
    """What a model answers: everybody, a share of the sellers, or nobody (beside another)."""

    LIVE = "live"
    CANARY = "canary"
    SHADOW = "shadow"


class ModelPublished(Event):
    """A bundle may be loaded from `uri`; workers check its manifest against `manifest_sha256`.

    A role is held by the version announced for it last. Announcing a version anew moves it to
    another role; a record of its key without a value withdraws it, and the one announced for the
    role before it holds the role again.
    """

    event_type: ClassVar[str] = "model.published"

    model_version: Id
    uri: Annotated[str, Field(min_length=1, max_length=MAX_URI_CHARACTERS, pattern=PRINTABLE)]
    manifest_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    backbone: Id
    metrics: Annotated[dict[Id, float], Field(max_length=256)] = {}
    parent_version: Id | None = None
    published_at: UtcTime
    role: ModelRole = ModelRole.LIVE
    share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="share of the sellers whom a canary answers; of no other role"
    )

    @model_validator(mode="after")
    def _share_of_a_canary(self) -> Self:
        if (self.role is ModelRole.CANARY) != (self.share is not None):
            raise ValueError("a canary needs a share, and no other role has one")
        return self
