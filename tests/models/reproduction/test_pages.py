import csv
from pathlib import Path

import pytest

from models.errors import ModelsError
from models.reproduction.figure import Figure, Kind, figure
from models.reproduction.pages import write_pages
from models.reproduction.table import Table

TABLE = Table(
    number=2,
    title="A <title>",
    header=("", "share", "MALE"),
    rows=[
        ("<b>0.3</b> | x", [Figure(Kind.SHARE, (0.30, 0.32)), Figure(Kind.ERROR, (0.4,))]),
        ("0.5", [None, Figure(Kind.ERROR, (0.4, 0.5, 0.6))]),
    ],
    sentences=["MALE rises: yes."],
    remarks=["0.5, seed 1: the loss is not finite any more"],
)


def test_how_figures_read() -> None:
    assert str(Figure(Kind.COUNT, (1000.0, 1002.0))) == "1,001 ± 1"
    assert str(Figure(Kind.SHARE, (0.30, 0.32))) == "31.0 ± 1.4 %"
    assert str(Figure(Kind.ERROR, (0.4,))) == "0.400"
    assert figure(Kind.ERROR, (None, 0.5)) == Figure(Kind.ERROR, (0.5,))
    assert figure(Kind.ERROR, (None,)) is None


def test_three_pages_of_the_same_tables(tmp_path: Path) -> None:
    write_pages(tmp_path, "On <m>", {"seeds": "3"}, ["A note."], [TABLE])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "results.csv",
        "results.html",
        "results.md",
    ]
    markdown = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "| \\<b\\>0.3\\</b\\> \\| x | 31.0 ± 1.4 % | 0.400 |" in markdown
    assert "| 0.5 | – | 0.500 ± 0.100 |" in markdown
    assert "- MALE rises: yes." in markdown
    assert "- 0.5, seed 1: the loss is not finite any more" in markdown
    html = (tmp_path / "results.html").read_text(encoding="utf-8")
    assert "A &lt;title&gt;" in html
    assert "<b>" not in html
    assert "<td>0.500 ± 0.100</td>" in html
    assert "MALE rises: yes." in html
    assert "the loss is not finite any more" in html
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["row"], row["column"], float(row["mean"]), row["runs"]) for row in rows] == [
        ("<b>0.3</b> | x", "share", 0.31, "2"),
        ("<b>0.3</b> | x", "MALE", 0.4, "1"),
        ("0.5", "MALE", 0.5, "3"),
    ]
    assert [row["deviation"] for row in rows] == ["0.0141421", "", "0.1"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match=r"results\.md cannot be written: No such file"):
        write_pages(tmp_path / "none", "t", {}, [], [TABLE])
