import copy
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from schemas.base import Event
from schemas.catalogue import EVENTS
from schemas.cloudevents import decode
from schemas.errors import EventError

EVENTS_PAGE = Path(__file__).parents[2] / "docs" / "events.md"
BY_NAME = {event.__name__: event for event in EVENTS}


@pytest.fixture(scope="session")
def page() -> str:
    """The page that explains the events to their users."""
    return EVENTS_PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def examples(page: str) -> dict[str, dict[str, Any]]:
    """The example of each event on that page, by the event's class name."""
    found = re.findall(r"^### (\w+)\n.*?```json\n(.*?)```", page, re.DOTALL | re.MULTILINE)
    return {name: json.loads(text) for name, text in found}


def put(fields: dict[str, Any], path: str, value: Any) -> None:
    """Set `images[0].uri` and the like."""
    *steps, last = [int(s) if s.isdecimal() else s for s in re.findall(r"[^.\[\]]+", path)]
    place: Any = fields
    for step in steps:
        place = place[step]
    place[last] = value


@pytest.fixture(scope="session")
def read() -> Callable[[str, Any], Event]:
    """Decode a JSON value as the event of that class name."""

    def decoded(name: str, fields: Any) -> Event:
        event = BY_NAME[name]
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", b"1"),
            ("ce_source", b"/test"),
            ("ce_type", event.ce_type().encode()),
            ("ce_time", b"2026-01-31T12:00:00Z"),
            ("content-type", b"application/json"),
        ]
        return decode(headers, json.dumps(fields).encode(), (event,))[0]

    return decoded


@pytest.fixture(scope="session")
def refusal(
    examples: dict[str, dict[str, Any]], read: Callable[[str, Any], Event]
) -> Callable[[str, Mapping[str, Any]], str]:
    """The message that the example of an event meets when these fields of it are changed."""

    def message(name: str, changes: Mapping[str, Any]) -> str:
        fields = copy.deepcopy(examples[name])
        for path, value in changes.items():
            put(fields, path, value)
        with pytest.raises(EventError) as caught:
            read(name, fields)
        return str(caught.value)

    return message


@pytest.fixture(scope="session")
def named() -> Callable[[str, str], bool]:
    """Whether a message speaks of the field at a path, or of what is inside it."""

    def speaks(path: str, message: str) -> bool:
        return re.search(r"(?:^|[ ;])" + re.escape(path) + r"[:.\[]", message) is not None

    return speaks
