"""`secondsight settings`: what is set, or the page that documents all settings."""

import json as json_format
from typing import Annotated, Any

import annotated_types
import typer
from pydantic.fields import FieldInfo

from workers.runtime.settings import Settings, environment_name

_INTRODUCTION = """\
# Settings

Every setting is an environment variable. An empty one counts as not set; one with our prefix that
is not in this list is refused, so that a misspelt name does not go unnoticed. `secondsight
settings` shows the values in effect. This page is made by `make schemas`.
"""


def settings(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print what every setting means, as a page.")
    ] = False,
) -> None:
    """Show the value of every setting, passwords hidden; a * marks those that are not default."""
    if markdown:
        typer.echo(page(), nl=False)
        return
    effective = Settings()
    values = effective.shown()
    if json:
        typer.echo(json_format.dumps(values))
        return
    for name, value in values.items():
        field = Settings.model_fields[name]
        mark = (
            " " if getattr(effective, name) == field.get_default(call_default_factory=True) else "*"
        )
        typer.echo(f"{mark} {environment_name(name)}={written(value)}")


def page() -> str:
    """Give the page docs/settings.md: one table a group, in the order of the class."""
    lines = [_INTRODUCTION]
    group = None
    for name, field in Settings.model_fields.items():
        extra: Any = field.json_schema_extra
        if extra["group"] != group:
            group = extra["group"]
            lines += [
                f"\n## {group}\n",
                "| variable | unit | default | meaning |",
                "|---|---|---|---|",
            ]
        default = "" if field.default_factory else written(field.default)
        cells = [
            f"`{environment_name(name)}`",
            " ".join(filter(None, (extra["unit"], _bounds(field)))),
            f"`{default}`" if default else "",
            str(field.description),
        ]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _bounds(field: FieldInfo) -> str:
    low = high = None
    for bound in field.metadata:
        if isinstance(bound, annotated_types.Ge):
            low = f"{bound.ge}"
        elif isinstance(bound, annotated_types.Gt):
            low = f"above {bound.gt}"
        elif isinstance(bound, annotated_types.Le):
            high = f"{bound.le}"
    return f"({low} to {high})" if low and high else ""


def written(value: object) -> str:
    """Write a value as its environment variable would hold it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return json_format.dumps(value) if isinstance(value, dict) else str(value)
