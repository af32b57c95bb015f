"""The page for users of the events says what the code does."""

import ast
import importlib
import re
from typing import Any

from schemas.base import Event
from schemas.catalogue import EVENTS
from schemas.dead_letter import DeadLetter
from schemas.topics import TOPICS


def test_every_event_has_an_example_that_is_written_as_it_is_read(
    examples: dict[str, dict[str, Any]],
) -> None:
    assert list(examples) == [event.__name__ for event in EVENTS]
    for event in EVENTS:
        written = event.model_validate(examples[event.__name__]).model_dump(
            mode="json", exclude_none=True, exclude_unset=True
        )
        assert written == examples[event.__name__]


def test_every_event_is_in_the_table_with_its_type_and_topic(page: str) -> None:
    for event in EVENTS:
        topic = next((name for name, spec in TOPICS.items() if event in spec.events), "<topic>")
        row = re.search(rf"^\| {event.__name__} \| `([^`]+)`[^|]*\| `([^`]+)` \|", page, re.M)
        assert row
        assert row[1] == event.ce_type()
        assert row[2].removesuffix(".dead-letter") == topic


def section(page: str, event: type[Event]) -> str:
    return page.partition(f"\n### {event.__name__}\n")[2].partition("\n#")[0]


def test_every_field_is_explained(page: str) -> None:
    for event in EVENTS:
        text = section(page, event)
        if event is DeadLetter:
            text = page.replace("`dead_letter_", "`")
        for field in event.model_fields:
            inherited = event.__name__ == "ListingEnriched" and field != "statistics"
            assert inherited or f"`{field}`" in text, f"{event.__name__}.{field}"


def test_the_programs_on_the_page_are_programs(page: str) -> None:
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(programs) == 2
    for text in programs:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names)
