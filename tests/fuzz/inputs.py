"""The inputs of a run by number: a seed and a number give the same input, alone or in a row."""

import base64
import json
import random
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import seeds
from tests.fuzz.mutations import mutate_event, mutate_image

KINDS = (*seeds.images(), *seeds.events())


@dataclass(frozen=True)
class Input:
    """An image, or the headers and the value of an event; `kind` is that of its seed."""

    number: int
    kind: str
    value: bytes | None
    headers: seeds.Headers | None = None

    @property
    def is_image(self) -> bool:
        """Whether `value` is an encoded image."""
        return self.headers is None

    def save(self, folder: Path) -> Path:
        """Write it to a file of its own and return that."""
        if self.headers is None:
            path = folder / f"{self.number}-{self.kind}"
            path.write_bytes(self.value or b"")
            return path
        path = folder / f"{self.number}-{self.kind}.json"
        headers = [[name, _text(value)] for name, value in self.headers]
        path.write_text(json.dumps({"headers": headers, "value": _text(self.value)}, indent=1))
        return path


def kind_of(number: int) -> str:
    """Return the kind of an input; the kinds take turns."""
    return KINDS[number % len(KINDS)]


def make_input(seed: int, number: int) -> Input:
    """Return the input of a number."""
    choice = random.Random(f"{seed}/{number}")
    kind = kind_of(number)
    images = seeds.images()
    if kind in images:
        return Input(number, kind, mutate_image(images[kind], list(images.values()), choice))
    events = seeds.events()
    others = [value for _, value in events.values()]
    headers, value = mutate_event(*events[kind], others, choice)
    return Input(number, kind, value, headers)


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
