"""What is said of a record that was set aside: headers beside those the record came with."""

import re
from collections.abc import Iterable
from typing import Annotated, ClassVar, Self

from pydantic import BeforeValidator, Field, ValidationError

from schemas.base import MAX_EXACT_INTEGER, PRINTABLE, Event, UtcTime, rfc3339
from schemas.errors import EventError
from schemas.validation import MAX_MESSAGE_CHARACTERS, describe

HEADER_PREFIX = "dead_letter_"
SUFFIX = ".dead-letter"

MAX_KEPT_BYTES = 2 * 1024 * 1024
"""The largest record that is copied whole.

Compression lets a producer send far more than a topic's `max.message.bytes`; a copy that the
dead-letter topic refused would stop the worker at that record for ever.
"""

Headers = Iterable[tuple[str, bytes | None]]
_unprintable = re.compile(PRINTABLE.replace("[^", "[", 1).strip("^+$")).sub


def dead_letter_topic(topic: str) -> str:
    """Return where records of `topic` are set aside; a dead-letter topic is its own."""
    return topic if topic.endswith(SUFFIX) else topic + SUFFIX


def _short(limit: int) -> BeforeValidator:
    """Cut rather than refuse: setting a record aside must not fail for what its error says."""

    def cut(text: object) -> object:
        if not isinstance(text, str):
            return text
        text = text[:limit].encode(errors="backslashreplace").decode()
        return _unprintable(lambda found: ascii(found[0])[1:-1], text)[:limit]

    return BeforeValidator(cut)


class DeadLetter(Event):
    """Why a record lies in a dead-letter topic, and where it came from.

    It travels in headers named `dead_letter_<field>`; the record's key, value and own headers
    are those it came with. `topic`, `partition` and `offset` say where it was read, `stage` what
    was being done with it (decode, process...), and `attempt` how often it was tried. A record
    that is put back into its topic keeps the headers, and the count goes on.
    """

    event_type: ClassVar[str] = "dead-letter"

    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
    partition: Annotated[int, Field(ge=0, le=2**31 - 1)]
    offset: Annotated[int, Field(ge=0, le=2**63 - 1)]
    stage: Annotated[str, Field(min_length=1, max_length=64), _short(64)]
    error_class: Annotated[str, Field(min_length=1, max_length=256), _short(256)]
    message: Annotated[
        str, Field(max_length=MAX_MESSAGE_CHARACTERS), _short(MAX_MESSAGE_CHARACTERS)
    ]
    attempt: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1
    failed_at: Annotated[UtcTime, Field(description="by the clock of the worker")]
    omitted_bytes: Annotated[int, Field(ge=1, le=MAX_EXACT_INTEGER)] | None = Field(
        default=None,
        description="size of the record where it was too large to be copied; only its headers of"
        " this kind are kept then, and the record itself lies at topic, partition and offset",
    )

    def to_headers(self) -> list[tuple[str, bytes]]:
        """Return the headers to add to the record; fields that are not known are left out."""
        fields = self.model_dump(exclude_none=True) | {"failed_at": rfc3339(self.failed_at)}
        return [(HEADER_PREFIX + name, str(value).encode()) for name, value in fields.items()]

    @classmethod
    def from_headers(cls, headers: Headers | None) -> Self:
        """Read the dead letter from a record's headers.

        Raises:
            EventError: a header is missing or wrong; the message names each.
        """
        try:
            fields = {
                name.removeprefix(HEADER_PREFIX): value.decode()
                for name, value in headers or ()
                if name.startswith(HEADER_PREFIX) and value is not None
            }
        except UnicodeDecodeError:
            raise EventError(f"a {HEADER_PREFIX}* header is not UTF-8") from None
        missing = [
            HEADER_PREFIX + name
            for name, field in cls.model_fields.items()
            if field.is_required() and name not in fields
        ]
        if missing:
            raise EventError(f"missing headers: {', '.join(missing)}")
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise EventError(f"{HEADER_PREFIX}* headers: {describe(error)}") from None

    def set_aside(
        self, key: bytes | None, value: bytes | None, headers: Headers | None
    ) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
        """Return key, value and headers of the record to write into the dead-letter topic.

        All three stay as they were, with the headers of this dead letter after the others. If
        the record was set aside before, the headers that said so are replaced. Of a record
        above MAX_KEPT_BYTES only the headers of this dead letter are kept.
        """
        kept = [(name, text) for name, text in headers or () if not name.startswith(HEADER_PREFIX)]
        size = len(key or b"") + len(value or b"")
        size += sum(len(name.encode()) + len(text or b"") for name, text in kept)
        if size > MAX_KEPT_BYTES:
            letter = self.model_copy(update={"omitted_bytes": size})
            return None, None, list(letter.to_headers())
        return key, value, [*kept, *self.to_headers()]


def attempts_before(headers: Headers | None) -> int:
    """Return how often a record was tried before it was put back into its topic; 0 when new."""
    try:
        return DeadLetter.from_headers(headers).attempt
    except EventError:
        return 0  # not set aside before, or its sender made the headers up
