"""The tables as Markdown, CSV and HTML."""

import csv
import io
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import jinja2

from models.errors import ModelsError
from models.reproduction.table import Table

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("models.reproduction", "."),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

CSV_COLUMNS = ("table", "row", "column", "mean", "deviation", "runs")


def write_pages(
    folder: Path,
    title: str,
    facts: Mapping[str, str],
    notes: Sequence[str],
    tables: Sequence[Table],
) -> None:
    """Write `results.md`, `results.csv` and `results.html`, each whole.

    Args:
        folder: which is there.
        title: of the pages.
        facts: of what and how it was measured.
        notes: sentences on how to read it.
        tables: in the order of the page.

    Raises:
        ModelsError: the folder cannot be written.
    """
    html = _TEMPLATES.get_template("results.html.j2").render(
        title=title, facts=facts, notes=notes, tables=tables
    )
    pages = {
        "results.md": _markdown(title, facts, notes, tables),
        "results.csv": _csv(tables),
        "results.html": html,
    }
    for name, text in pages.items():
        try:
            handle, unfinished = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
            try:
                with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                    file.write(text)
                Path(unfinished).chmod(0o644)  # it is made private
                Path(unfinished).replace(folder / name)
            except OSError:
                Path(unfinished).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise ModelsError(f"{folder / name} cannot be written: {error.strerror}") from None


def _markdown(
    title: str, facts: Mapping[str, str], notes: Sequence[str], tables: Sequence[Table]
) -> str:
    lines = [f"# {_plain(title)}", "", *_rows(("what was measured", ""), facts.items()), ""]
    for note in notes:
        lines += [note, ""]
    for table in tables:
        lines += [f"## Table {table.number}: {table.title}", ""]
        lines += [*_rows(table.header, table.texts()), ""]
        lines += [f"- {_plain(sentence)}" for sentence in (*table.sentences, *table.remarks)]
        if table.sentences or table.remarks:
            lines.append("")
    return "\n".join(lines)


def _rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    align = ["---", *("---:" for _ in header[1:])]
    lines = [header, align, *([_plain(text) for text in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _plain(text: str) -> str:
    """Return a text that Markdown shows as it is: a category may hold whatever sellers write."""
    return re.sub(r"([\\`*_|<>\[\]#~&])", r"\\\1", " ".join(text.split()))


def _csv(tables: Sequence[Table]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for table in tables:
        for name, cells in table.rows:
            for column, cell in zip(table.header[1:], cells, strict=True):
                if cell is not None:
                    deviation = "" if cell.deviation is None else f"{cell.deviation:.6g}"
                    runs = len(cell.runs)
                    writer.writerow(
                        (table.number, name, column, f"{cell.mean:.6g}", deviation, runs)
                    )
    return stream.getvalue()
