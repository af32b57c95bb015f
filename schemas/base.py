"""What every event shares: frozen, lenient to readers, times in UTC, ids that are safe as keys."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.functional_validators import AfterValidator


def _no_control_characters(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must not contain control or other unprintable characters")
    return text


def _to_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def rfc3339(moment: datetime) -> str:
    """Format an aware time as RFC 3339 in UTC with as few fraction digits as it has."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Id = Annotated[
    str,
    Field(min_length=1, max_length=128),
    AfterValidator(_no_control_characters),
]
"""A non-empty printable string of at most 128 characters."""

Category = Annotated[
    str,
    Field(
        min_length=1,
        max_length=512,
        description="category path, ' > ' between its levels",
        examples=["Clothing > Shoes"],
    ),
    AfterValidator(_no_control_characters),
]

UtcTime = Annotated[
    AwareDatetime,
    AfterValidator(_to_utc),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
]
"""A time with a zone; kept and written in UTC (RFC 3339)."""


class Event(BaseModel):
    """Base of the events. Unknown fields are ignored, so that a writer may add some first.

    `event_type` and `event_version` become the CloudEvents attribute `ce_type`:
    `com.secondsight.<event_type>.v<event_version>`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    event_type: ClassVar[str]
    event_version: ClassVar[int] = 1

    @classmethod
    def ce_type(cls) -> str:
        """Return the CloudEvents type, such as `com.secondsight.listing.created.v1`."""
        return f"com.secondsight.{cls.event_type}.v{cls.event_version}"

    def to_bytes(self) -> bytes:
        """Return the event as UTF-8 JSON, fields in the order of the class, nulls left out."""
        return self.model_dump_json(exclude_none=True).encode()
