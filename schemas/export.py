"""The contract for readers without Python: one JSON Schema per event, and an AsyncAPI document.

Both are generated from the classes, committed beside them, and checked to be current.
"""

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import GenerateJsonSchema

from schemas.base import Event
from schemas.catalogue import EVENTS
from schemas.cloudevents import (
    CONTENT_TYPE,
    MAX_ATTRIBUTE_CHARACTERS,
    MAX_ID_CHARACTERS,
    REQUIRED_HEADERS,
    SPEC_VERSION,
)
from schemas.dead_letter import HEADER_PREFIX, DeadLetter
from schemas.topics import DEAD_LETTER_TOPICS, TOPICS, TopicSpec

_BINDING_VERSION = "0.5.0"  # of AsyncAPI's Kafka bindings
_RECEIVED = ("transactions", "listing.created")  # what others send, and we read
_REPLICAS = 3  # what the topic configurations in the document are for
_COMMENT = "# Generated from the classes in schemas/ by `secondsight schemas`.\n"


def write(folder: Path) -> None:
    """Write `json/*.json` and `asyncapi.yaml` under the folder; schemas of no event are removed.

    Raises:
        OSError: the folder cannot be written.
    """
    files = _files()
    for path in _written(folder) - files.keys():
        (folder / path).unlink()
    (folder / "json").mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        (folder / path).write_text(text, encoding="utf-8", newline="\n")


def stale(folder: Path) -> list[str]:
    """Return the files under the folder that `write` would change, add or remove, in order."""
    files = _files()
    written = _written(folder)
    return sorted(
        path
        for path in files.keys() | written
        if path not in files
        or path not in written
        or (folder / path).read_bytes() != files[path].encode()
    )


def json_schema(event: type[Event]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of an event's value."""
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": f"urn:secondsight:{event.event_type}:v{event.event_version}",
        **event.model_json_schema(mode="validation"),
    }


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document: every topic, who writes it, and every event's headers."""
    topics = [*TOPICS.values(), *DEAD_LETTER_TOPICS.values()]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "secondsight",
            "version": f"{max(event.event_version for event in EVENTS)}.0.0",
            "description": "Price suggestions for second-hand items from their photos."
            " Records are CloudEvents 1.0 in binary content mode.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {spec.name: _channel(spec) for spec in topics},
        "operations": {_operation_name(spec): _operation(spec) for spec in topics},
        "components": {
            "messages": {event.__name__: _message(event) for event in EVENTS}
            | {"InternalState": _internal_message()},
        },
    }


def _files() -> dict[str, str]:
    files = {
        f"json/{_file_name(event)}": json.dumps(json_schema(event), indent=2, ensure_ascii=True)
        + "\n"
        for event in EVENTS
    }
    document = yaml.safe_dump(asyncapi(), sort_keys=False, width=100, allow_unicode=False)
    return files | {"asyncapi.yaml": _COMMENT + document}


def _written(folder: Path) -> set[str]:
    paths = [*(folder / "json").glob("*.json"), *folder.glob("asyncapi.yaml")]
    return {path.relative_to(folder).as_posix() for path in paths}


def _file_name(event: type[Event]) -> str:
    return f"{event.event_type}.v{event.event_version}.json"


def _summary(event: type[Event]) -> str:
    return (event.__doc__ or "").partition("\n")[0]


def _message_names(spec: TopicSpec) -> list[str]:
    return [event.__name__ for event in spec.events] or ["InternalState"]


def _channel(spec: TopicSpec) -> dict[str, Any]:
    config: dict[str, Any] = {
        name: int(text) if text.lstrip("-").isdecimal() else text
        for name, text in spec.config(_REPLICAS).items()
    }
    config["cleanup.policy"] = [config["cleanup.policy"]]
    binding: dict[str, Any] = {"topic": spec.name}
    if not spec.co_partitioned:
        binding["partitions"] = 1
    binding |= {"topicConfiguration": config, "bindingVersion": _BINDING_VERSION}
    partitions = "as many partitions as the system has" if spec.co_partitioned else "one partition"
    return {
        "address": spec.name,
        "description": f"{spec.description}. Key: {spec.key}; {partitions}.",
        "messages": {
            name: {"$ref": f"#/components/messages/{name}"} for name in _message_names(spec)
        },
        "bindings": {"kafka": binding},
    }


def _operation_name(spec: TopicSpec) -> str:
    verb = "receive" if spec.name in _RECEIVED else "send"
    return f"{verb}.{spec.name}"


def _pointer(name: str) -> str:
    return f"#/channels/{name}"


def _operation(spec: TopicSpec) -> dict[str, Any]:
    return {
        "action": "receive" if spec.name in _RECEIVED else "send",
        "channel": {"$ref": _pointer(spec.name)},
        "summary": spec.description,
        "messages": [
            {"$ref": f"{_pointer(spec.name)}/messages/{name}"} for name in _message_names(spec)
        ],
    }


def _message(event: type[Event]) -> dict[str, Any]:
    if event is DeadLetter:
        return {
            "name": event.ce_type(),
            "title": event.__name__,
            "summary": _summary(event),
            "description": "Key, value and the other headers are those of the record set aside.",
            "headers": _dead_letter_headers(),
            "contentType": "application/octet-stream",
            "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": _BINDING_VERSION}},
        }
    field = next(spec.key for spec in TOPICS.values() if event in spec.events)
    key = {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_ID_CHARACTERS,
        "description": f"{field}, in UTF-8",
    }
    return {
        "name": event.ce_type(),
        "title": event.__name__,
        "summary": _summary(event),
        "contentType": CONTENT_TYPE,
        "headers": _event_headers(event),
        "payload": {"$ref": f"./json/{_file_name(event)}"},
        "bindings": {"kafka": {"key": key, "bindingVersion": _BINDING_VERSION}},
    }


def _internal_message() -> dict[str, Any]:
    return {
        "name": "com.secondsight.internal",
        "title": "InternalState",
        "summary": "Binary state of the stats worker; its form may change, nobody else reads it.",
        "contentType": "application/octet-stream",
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": _BINDING_VERSION}},
    }


def _event_headers(event: type[Event]) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1, "maxLength": MAX_ATTRIBUTE_CHARACTERS}
    return {
        "type": "object",
        "required": list(REQUIRED_HEADERS),
        "properties": {
            "ce_specversion": {"type": "string", "const": SPEC_VERSION},
            "ce_id": {"type": "string", "minLength": 1, "maxLength": MAX_ID_CHARACTERS},
            "ce_source": {**text, "format": "uri-reference"},
            "ce_type": {"type": "string", "const": event.ce_type()},
            "ce_time": {"type": "string", "format": "date-time"},
            "ce_subject": {**text, "description": "what the event is about, such as listing_id"},
            "content-type": {"type": "string", "const": CONTENT_TYPE},
            "traceparent": {"type": "string", "description": "W3C Trace Context"},
        },
    }


def _dead_letter_headers() -> dict[str, Any]:
    schema = DeadLetter.model_json_schema(mode="validation")
    return {
        "type": "object",
        "required": [HEADER_PREFIX + name for name in schema["required"]],
        "properties": {
            HEADER_PREFIX + name: {
                "type": "string",
                "description": field.get("description", field["title"]),
            }
            for name, field in schema["properties"].items()
        },
    }
