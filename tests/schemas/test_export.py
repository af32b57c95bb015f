import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import schemas
from schemas import export
from schemas.base import Event
from schemas.catalogue import EVENTS
from schemas.cloudevents import encode
from schemas.sale import SaleReversed
from schemas.topics import DEAD_LETTER_TOPICS, TOPICS

COMMITTED = Path(schemas.__file__).parent
BY_NAME = {event.__name__: event for event in EVENTS}


def schema_of(event: type[Event]) -> dict[str, Any]:
    path = COMMITTED / "json" / f"{event.event_type}.v{event.event_version}.json"
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def document() -> dict[str, Any]:
    text = (COMMITTED / "asyncapi.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def test_the_committed_files_are_current() -> None:
    assert export.stale(COMMITTED) == []
    assert len(list((COMMITTED / "json").iterdir())) == len(EVENTS)


def test_what_differs_is_listed_and_written(tmp_path: Path) -> None:
    names = sorted(
        ["asyncapi.yaml", *(f"json/{path.name}" for path in (COMMITTED / "json").iterdir())]
    )
    folder = tmp_path / "new"
    assert export.stale(folder) == names
    export.write(folder)
    assert export.stale(folder) == []
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == names

    (folder / "json" / "item.sold.v1.json").write_text("{}")
    (folder / "json" / "item.sold.v0.json").write_text("{}")
    with (folder / "asyncapi.yaml").open("ab") as file:
        file.write(b"\r\n")
    (folder / "json" / "listing.created.v1.json").unlink()
    assert export.stale(folder) == [
        "asyncapi.yaml",
        "json/item.sold.v0.json",
        "json/item.sold.v1.json",
        "json/listing.created.v1.json",
    ]
    export.write(folder)
    assert export.stale(folder) == []
    for name in names:
        assert (folder / name).read_bytes() == (COMMITTED / name).read_bytes()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_each_schema_is_one_and_takes_the_example(
    event: type[Event], examples: dict[str, dict[str, Any]]
) -> None:
    schema = schema_of(event)
    validator = jsonschema.validators.validator_for(schema)
    assert validator is jsonschema.Draft202012Validator
    validator.check_schema(schema)
    example = examples[event.__name__]
    checker = validator(schema, format_checker=validator.FORMAT_CHECKER)
    checker.validate(example)
    written = event.model_validate_json(json.dumps(example), strict=True).to_bytes()
    checker.validate(json.loads(written))
    checker.validate({**example, "a_field_of_tomorrow": 1})
    for name in schema["required"]:
        assert not checker.is_valid({k: v for k, v in example.items() if k != name})
        assert not checker.is_valid({**example, name: [None]})
    for name in set(schema["properties"]) - set(schema["required"]):
        checker.validate({k: v for k, v in example.items() if k != name})


@pytest.mark.parametrize(
    ("event", "field", "value"),
    [
        ("ItemSold", "price_minor", 0),
        ("ItemSold", "price_minor", "12"),
        ("ItemSold", "price_minor", 12.5),
        ("ItemSold", "price_minor", 10**15 + 1),
        ("ItemSold", "currency", "gbp"),
        ("ItemSold", "seller_id", ""),
        ("ItemSold", "seller_id", "x" * 129),
        ("ItemSold", "seller_id", "a\x00b"),
        ("ItemSold", "seller_id", "\u202ea"),
        ("ItemSold", "sold_at", 1769860800),
        ("ItemSold", "sold_at", "2026-01-31T12:00:00"),
        ("ListingCreated", "images", []),
        ("ListingCreated", "images", [{"uri": "https://h/1.jpg"}] * 13),
        ("ListingCreated", "images", [{"uri": "1.jpg"}]),
        ("ListingCreated", "images", [{"uri": "https://h/a b"}]),
        ("ListingCreated", "images", [{"uri": "https://h/1.jpg", "sha256": "A" * 64}]),
        ("PriceSuggested", "confidence", 1.1),
        ("ReuploadRequested", "reasons", [{"code": "ugly", "hint": "x"}]),
    ],
)
def test_schemas_refuse_what_readers_refuse(
    event: str, field: str, value: Any, examples: dict[str, dict[str, Any]]
) -> None:
    validator = jsonschema.Draft202012Validator(schema_of(BY_NAME[event]))
    assert not validator.is_valid({**examples[event], field: value})
    with pytest.raises(ValueError, match=field):
        BY_NAME[event].model_validate_json(
            json.dumps({**examples[event], field: value}), strict=True
        )


def test_the_document_has_every_topic_and_event() -> None:
    described = document()
    assert described["asyncapi"] == "3.0.0"
    assert list(described["channels"]) == [*TOPICS, *DEAD_LETTER_TOPICS]
    assert set(described["components"]["messages"]) == {*BY_NAME, "InternalState"}
    actions = {name: op["action"] for name, op in described["operations"].items()}
    assert [name for name, action in actions.items() if action == "receive"] == [
        "receive.transactions",
        "receive.listing.created",
    ]
    for name, spec in TOPICS.items():
        channel = described["channels"][name]
        assert channel["address"] == name
        assert list(channel["messages"]) == (
            [event.__name__ for event in spec.events] or ["InternalState"]
        )
        binding = channel["bindings"]["kafka"]
        assert binding.get("partitions") == (1 if name == "models" else None)
        assert binding["topicConfiguration"]["retention.ms"] == spec.retention_ms


def test_every_reference_in_the_document_leads_somewhere() -> None:
    described = document()
    references = set(re.findall(r"'\$ref': '([^']+)'", repr(described)))
    assert len(references) > 30
    for reference in references:
        if reference.startswith("./"):
            assert (COMMITTED / reference).is_file()
        else:
            place: Any = described
            for step in reference.removeprefix("#/").split("/"):
                place = place[step]
            assert place


def test_headers_that_are_written_are_headers_that_are_described(
    examples: dict[str, dict[str, Any]],
) -> None:
    event = SaleReversed.model_validate(examples["SaleReversed"])
    headers = encode(
        event, event_id="1", source="/x", time=event.reversed_at, subject="l", traceparent=b"00"
    )
    schema = document()["components"]["messages"]["SaleReversed"]["headers"]
    assert {name for name, _ in headers} == set(schema["properties"])
    jsonschema.validate({name: text.decode() for name, text in headers}, schema)


def test_the_headers_of_dead_letters_are_described(examples: dict[str, dict[str, Any]]) -> None:
    letter = BY_NAME["DeadLetter"].model_validate({**examples["DeadLetter"], "omitted_bytes": 1})
    schema = document()["components"]["messages"]["DeadLetter"]["headers"]
    assert set(schema["properties"]) == {f"dead_letter_{name}" for name in letter.model_dump()}
    assert set(schema["properties"]) - set(schema["required"]) == {
        "dead_letter_attempt",
        "dead_letter_omitted_bytes",
    }
