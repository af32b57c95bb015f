"""What every event shares: frozen, lenient to readers, times in UTC, ids that are safe as keys."""

import re
from datetime import UTC, datetime
from typing import Annotated, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from schemas.errors import EventError

MAX_EVENT_BYTES = 1024 * 1024
"""The most an event may have as JSON: as much as a Kafka record has by default."""

MAX_EXACT_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader gets exactly (RFC 8259, section 6)."""

PRINTABLE = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028-\\u202e\\u2066-\\u2069\\ufeff]+$"
"""Pattern: no control characters, line separators or direction overrides.

Ids and categories become keys, file names and log lines; the pattern means the same in Rust,
Python and ECMAScript, so it can stand in the JSON Schema.
"""

_RFC3339 = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})$"
)
_match_rfc3339 = re.compile(_RFC3339, re.ASCII).fullmatch


def rfc3339(moment: datetime) -> str:
    """Format an aware time as RFC 3339 in UTC, with six decimals of a second or none.

    Raises:
        ValueError: the time has no zone.
    """
    return _in_utc(moment).isoformat().replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """Read an RFC 3339 time; decimals of a second beyond the sixth are cut off.

    Raises:
        ValueError: the text is not of that form, has no zone, or is outside the years 1 to 9999.
    """
    if not _match_rfc3339(text):
        raise ValueError("must be an RFC 3339 time with a zone, such as 2026-01-31T12:00:00Z")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be an RFC 3339 time that exists in the calendar") from None
    return _in_utc(moment)


def _in_utc(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise ValueError("must have a time zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie in the years 1 to 9999 in UTC") from None


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        return parse_rfc3339(value)
    if isinstance(value, datetime):
        return _in_utc(value)
    raise ValueError("must be an RFC 3339 time with a zone, as a string")


Id = Annotated[str, Field(min_length=1, max_length=128, pattern=PRINTABLE)]
"""A non-empty printable string of at most 128 characters."""

Category = Annotated[
    str,
    Field(
        min_length=1,
        max_length=512,
        pattern=PRINTABLE,
        description="category path, ' > ' between its levels",
        examples=["Clothing > Shoes"],
    ),
]

UtcTime = Annotated[
    datetime,
    PlainValidator(_moment, json_schema_input_type=str),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": _RFC3339,
            "description": "RFC 3339 time with a zone; read to the microsecond, written in UTC",
        }
    ),
]
"""A time with a zone; kept and written in UTC (RFC 3339).

Only the form is checked. Whether a time lies too far ahead is for the worker to say, which has
a clock and knows whether a recorded log is being replayed.
"""


class Event(BaseModel):
    """Base of the events. Unknown fields are ignored, so that a writer may add some first.

    `event_type` and `event_version` become the CloudEvents attribute `ce_type`:
    `com.secondsight.<event_type>.v<event_version>`. `max_bytes` bounds the event as JSON.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    event_type: ClassVar[str]
    event_version: ClassVar[int] = 1
    max_bytes: ClassVar[int] = MAX_EVENT_BYTES

    @classmethod
    def ce_type(cls) -> str:
        """Return the CloudEvents type, such as `com.secondsight.listing.created.v1`."""
        return f"com.secondsight.{cls.event_type}.v{cls.event_version}"

    def to_bytes(self) -> bytes:
        """Return the event as UTF-8 JSON, fields in the order of the class, nulls left out.

        Raises:
            EventError: the event is longer than readers accept, as a listing with many `data:`
                photos can be.
        """
        value = self.model_dump_json(exclude_none=True).encode()
        if len(value) > self.max_bytes:
            raise EventError(
                f"{self.ce_type()} has {len(value)} bytes, more than the {self.max_bytes} allowed"
            )
        return value
