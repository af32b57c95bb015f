"""Where a retrained bundle comes from: what it follows, what it knew, and why it was published."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from schemas.base import Id, UtcTime


class Lineage(BaseModel):
    """What is to be known of a bundle that followed another, or was the first of its line.

    Attributes:
        parent: the model that answered when it was trained; None of the first.
        code: version of the program that trained it.
        made_at: when its training began.
        trained_until: when the latest listing of its training part was listed.
        listed_until: when the latest listing that it knows of at all was listed: its validation
            and test parts are in it, what it was judged on is not.
        extractors_trained_at: when its image networks were trained, or taken as pretrained.
        began_as: what the heads began as: the parent's, or why they did not.
        verdict: of the champion gate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    parent: Id | None
    code: Annotated[str, Field(min_length=1, max_length=128)]
    made_at: UtcTime
    trained_until: UtcTime
    listed_until: UtcTime
    extractors_trained_at: UtcTime
    began_as: str
    verdict: dict[str, JsonValue] = {}
