"""CloudEvents 1.0 in the Kafka binding's binary content mode: attributes in headers, data in value.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from pydantic import ValidationError

from schemas.base import PRINTABLE, Event, parse_rfc3339, rfc3339
from schemas.errors import EventError
from schemas.validation import describe, quoted

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
REQUIRED_HEADERS = (
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "content-type",
)
MAX_ID_CHARACTERS = 128
MAX_ATTRIBUTE_CHARACTERS = 512  # ce_source, ce_subject; the specification sets no limit

_printable = re.compile(PRINTABLE).fullmatch
# W3C Trace Context, level 1: version-traceid-parentid-flags
_traceparent = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
_versioned = re.compile(r"(.+)\.v[0-9]{1,9}").fullmatch


@dataclass(frozen=True, slots=True)
class Envelope:
    """The CloudEvents attributes of a record, and its trace if it has one."""

    id: str
    source: str
    type: str
    time: datetime
    subject: str | None = None
    traceparent: bytes | None = None


def encode(
    event: Event,
    *,
    event_id: str,
    source: str,
    time: datetime,
    subject: str | None = None,
    traceparent: bytes | None = None,
) -> list[tuple[str, bytes]]:
    """Return the headers that go with `event.to_bytes()` as value.

    Args:
        event: what the record's value will be.
        event_id: unique for the source; a repeated pair of source and id is a duplicate.
        source: URI reference of the program that says so, such as `/secondsight/stats`.
        time: when it happened, with a zone.
        subject: what it is about, usually the listing's id.
        traceparent: the trace of the record that caused this one, passed on as it came.

    Raises:
        EventError: an attribute is empty, too long, unprintable, or the time has no zone.
    """
    try:
        moment = rfc3339(time)
    except ValueError as error:
        raise EventError(f"ce_time {error}") from None
    attributes = {
        "ce_specversion": SPEC_VERSION,
        "ce_id": event_id,
        "ce_source": source,
        "ce_type": event.ce_type(),
        "ce_time": moment,
        "content-type": CONTENT_TYPE,
    }
    if subject is not None:
        attributes["ce_subject"] = subject
    # A lone surrogate passes here, for the check beneath to refuse as any other wrong text.
    headers = [(name, text.encode(errors="surrogatepass")) for name, text in attributes.items()]
    _envelope(dict(headers))
    if traceparent is not None:
        headers.append(("traceparent", traceparent))
    return headers


def decode(
    headers: Iterable[tuple[str, bytes | None]] | None,
    value: bytes | None,
    accept: Sequence[type[Event]],
) -> tuple[Event, Envelope]:
    """Read a record back into its event and envelope; JSON types are taken strictly.

    A `traceparent` that is not one is dropped rather than passed on, as W3C Trace Context asks.

    Args:
        headers: as confluent-kafka gives them; None is no headers.
        value: the record's value.
        accept: the events that may be in this topic.

    Raises:
        EventError: the record is no such event. The message names every wrong header, or every
            wrong field by its path, and is short whatever the record holds.
    """
    found = dict(headers or ())  # of a repeated header the last one counts, as in Kafka's clients
    envelope = _envelope(found)
    event_class = _by_type(tuple(accept)).get(envelope.type)
    if event_class is None:
        raise EventError(_unknown_type(envelope.type, accept))
    if not value:
        raise EventError("the value is empty")
    if len(value) > event_class.max_bytes:
        raise EventError(
            f"the value has {len(value)} bytes, more than the {event_class.max_bytes} allowed"
        )
    try:
        return event_class.model_validate_json(value, strict=True), envelope
    except ValidationError as error:
        raise EventError(f"{envelope.type}: {_reason(error, value)}") from None


def _envelope(headers: Mapping[str, bytes | None]) -> Envelope:
    missing = [name for name in REQUIRED_HEADERS if headers.get(name) is None]
    if missing:
        raise EventError(
            f"missing headers: {', '.join(missing)} "
            "(CloudEvents 1.0 in binary content mode is expected)"
        )
    problems: list[str] = []
    version = _attribute(headers, "ce_specversion", problems)
    if version != SPEC_VERSION:
        problems.append(f"ce_specversion must be {SPEC_VERSION}, not {quoted(version)}")
    content_type = _attribute(headers, "content-type", problems)
    if content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
        problems.append(f"content-type must be {CONTENT_TYPE}, not {quoted(content_type)}")
    event_id = _attribute(headers, "ce_id", problems, MAX_ID_CHARACTERS)
    source = _attribute(headers, "ce_source", problems)
    event_type = _attribute(headers, "ce_type", problems)
    subject = None
    if headers.get("ce_subject") is not None:
        subject = _attribute(headers, "ce_subject", problems)
    try:
        time = parse_rfc3339(_attribute(headers, "ce_time", problems))
    except ValueError as error:
        problems.append(f"ce_time {error}")
    if problems:
        raise EventError("; ".join(problems))
    trace = headers.get("traceparent")
    if trace is not None and not _traceparent(trace):
        trace = None
    return Envelope(event_id, source, event_type, time, subject, trace)


def _attribute(
    headers: Mapping[str, bytes | None],
    name: str,
    problems: list[str],
    limit: int = MAX_ATTRIBUTE_CHARACTERS,
) -> str:
    try:
        text = (headers[name] or b"").decode()
    except UnicodeDecodeError:
        problems.append(f"{name} is not UTF-8")
        return ""
    if not text:
        problems.append(f"{name} is empty")
    elif len(text) > limit:
        problems.append(f"{name} has {len(text)} characters, more than the {limit} allowed")
    elif not _printable(text):
        problems.append(f"{name} has control or other unprintable characters")
    return text


@lru_cache(maxsize=64)
def _by_type(accept: tuple[type[Event], ...]) -> dict[str, type[Event]]:
    return {event_class.ce_type(): event_class for event_class in accept}


def _unknown_type(event_type: str, accept: Sequence[type[Event]]) -> str:
    known = [event_class.ce_type() for event_class in accept]
    match = _versioned(event_type)
    for name in known:
        if match and match[1] == name.rpartition(".v")[0]:
            return f"ce_type {quoted(event_type)} is an unknown version; {name} is the one known"
    return f"ce_type {quoted(event_type)} is unknown here; expected: {', '.join(known)}"


def _reason(error: ValidationError, value: bytes) -> str:
    try:
        value.decode()
    except UnicodeDecodeError as not_utf8:
        return f"the value is not UTF-8 (byte {not_utf8.start})"
    return describe(error)
