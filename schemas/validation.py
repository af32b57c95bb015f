"""Saying what is wrong with a record: every wrong field by its path, and never at length.

What a record holds may be hostile: it is quoted only in part, with control characters escaped,
so that it can neither fill a log nor forge a line in it.
"""

from pydantic import ValidationError

MAX_MESSAGE_CHARACTERS = 2000
_MAX_QUOTED = 60
_MAX_PROBLEM = 200


def quoted(text: str) -> str:
    """Return the text as a short ASCII literal, with dots where it was cut."""
    cut = text[:_MAX_QUOTED]
    return ascii(cut) + ("..." if len(text) > len(cut) else "")


def describe(error: ValidationError) -> str:
    """Name each wrong field by its path with what is wrong; at most MAX_MESSAGE_CHARACTERS."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    parts: list[str] = []
    room = MAX_MESSAGE_CHARACTERS - 32  # for the count of those left out
    for number, problem in enumerate(problems):
        message = problem["msg"].removeprefix("Value error, ")
        part = f"{_path(problem['loc'])}: {message}"[:_MAX_PROBLEM]
        room -= len(part) + 2
        if room < 0:
            parts.append(f"and {len(problems) - number} more")
            break
        parts.append(part)
    return "; ".join(parts)


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            name = step if step.isidentifier() and len(step) <= _MAX_QUOTED else quoted(step)
            path += f".{name}" if path else name
    return path or "value"
