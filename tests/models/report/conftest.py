"""A page and what a reader sees of it."""

import csv
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from models.dataset.reader import read_dataset
from models.evaluation.evaluate import Evaluation, evaluate
from models.pricer import Pricer
from models.report.page import report_page
from schemas.dataset import LISTING_COLUMNS
from schemas.suggestion import ReuploadReason

Change = Callable[[int, dict[str, str]], None]


class Reader(HTMLParser):
    """Collects the tags of a page, and the texts and images of each of its sections."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, str] = {"": ""}
        self.images: dict[str, list[str]] = {"": []}
        self.rows: list[list[str]] = []
        self._open = [""]
        self._cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            name = dict(attrs)["id"] or ""
            assert name not in self.sections
            self._open.append(name)
            self.sections[name], self.images[name] = "", []
        elif tag == "img":
            for name in self._open:
                self.images[name].append(dict(attrs)["src"] or "")
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "section":
            self._open.pop()
        self._cell = self._cell and tag not in ("td", "th")
        if tag in ("dt", "dd"):
            self.sections[""] += " "

    def handle_data(self, data: str) -> None:
        for name in self._open:
            self.sections[name] += data
        if self._cell:
            self.rows[-1][-1] += data.strip()

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", self.sections[""])


def hint(reason: ReuploadReason) -> str:
    return f"hint for {reason.value}"


@pytest.fixture(scope="module")
def pricer(bundle_folder: Path) -> Pricer:
    return Pricer.load(bundle_folder, threads=1)


@pytest.fixture(scope="module")
def made(pricer: Pricer) -> Callable[..., str]:
    """The page of a dataset folder."""

    def make(folder: Path, *, all_listings: bool = False) -> str:
        return report_page(
            pricer, read_dataset(folder), seller_hint=hint, all_listings=all_listings
        )

    return make


@pytest.fixture(scope="module")
def unseen_page(made: Callable[..., str], unseen_market: Any) -> str:
    return made(unseen_market.folder)


@pytest.fixture(scope="module")
def unseen(pricer: Pricer, unseen_market: Any) -> Evaluation:
    return evaluate(pricer, read_dataset(unseen_market.folder))


@pytest.fixture
def read() -> type[Reader]:
    """Parses a page."""
    return Reader


def _rewritten(source: Path, target: Path, change: Change, keep: int | None = None) -> Path:
    """Copy a dataset, its first rows passed through `change(number, row)`."""
    shutil.copytree(source, target)
    with (source / "listings.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))[:keep]
    for number, row in enumerate(rows):
        change(number, row)
    with (target / "listings.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, LISTING_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return target


@pytest.fixture
def rewritten() -> Callable[..., Path]:
    """Copies a dataset: `rewritten(source, target, change, keep=None)`."""
    return _rewritten
