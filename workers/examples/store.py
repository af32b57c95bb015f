"""Training examples as Parquet, by date: parts appear whole, and of a listing the newest counts.

    URL/date=2026-01-31/part-<32 hex digits>.parquet

A part is never changed. What is written twice, or again by another worker after a crash, is
told by `(listing_id, revision)`; whoever reads goes by the highest revision.
"""

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from workers.examples.example import SCHEMA, Example, from_table, to_table
from workers.object_storage import open_storage, storage_errors

_DAY = "date="
_PART = ".parquet"
_VERSION = b"secondsight.examples"


@dataclass(frozen=True, slots=True)
class Read:
    """What a window held.

    Attributes:
        examples: one a listing, by `known_at` and then id.
        parts: how many parts were read.
        damaged: parts that could not be read, each as a sentence.
    """

    examples: list[Example]
    parts: int
    damaged: list[str]


class ExampleStore:
    """Appends examples and reads windows of them. Safe to use from several threads.

    Args:
        url: a folder, or an address that fsspec knows, such as `s3://bucket/examples`.

    Raises:
        ConfigurationError: nothing reaches that address.
    """

    def __init__(self, url: str) -> None:
        self._files, self._root = open_storage(url, setting="SECONDSIGHT_EXAMPLES_URL")

    def append(self, examples: Iterable[Example]) -> list[str]:
        """Write examples, one part for each date among them; returns the parts' paths.

        When it returns, they are stored: a crash after that loses none.

        Raises:
            WorkersError: the storage cannot be written; some parts may have been.
        """
        by_date: dict[date, list[Example]] = {}
        for example in examples:
            by_date.setdefault(example.known_at.date(), []).append(example)
        return [self._write(day, by_date[day]) for day in sorted(by_date)]

    def read(self, start: datetime, end: datetime | None = None) -> Read:
        """Return the examples that became known from `start` on and before `end`, both UTC.

        A listing of which more became known at `end` or later is not among them: what was sold
        in the window and taken back since is no sale.

        Raises:
            WorkersError: the storage cannot be listed.
        """
        newest: dict[str, Example] = {}
        damaged: list[str] = []
        parts = 0
        for folder in self._days(start.astimezone(UTC).date()):
            for part in self._of_day(folder):
                if isinstance(part, str):
                    damaged.append(part)
                    continue
                parts += 1
                _keep_newest(newest, part)
        found = [
            example
            for example in newest.values()
            if example.known_at >= start and (end is None or example.known_at < end)
        ]
        found.sort(key=lambda example: (example.known_at, example.listing_id))
        return Read(found, parts, damaged)

    def compact(self, day: date) -> int:
        """Write the parts of a date as one and delete them; returns how many there were.

        It may be cut short at any moment, and parts may be appended meanwhile: nothing is lost,
        and what is there twice counts once. Damaged parts are left.

        Raises:
            WorkersError: the storage cannot be read or written.
        """
        folder = self._folder(day)
        newest: dict[str, Example] = {}
        whole = []
        for path in self._paths(folder):
            part = self._read(path)
            if part is not None and not isinstance(part, str):
                _keep_newest(newest, part)
                whole.append(path)
        if len(whole) > 1:
            self._write(day, list(newest.values()))
            with storage_errors(f"{folder} cannot be written"):
                for path in whole:
                    self._files.rm_file(path)
        return len(whole)

    def _write(self, day: date, examples: Sequence[Example]) -> str:
        path = f"{self._folder(day)}/part-{uuid4().hex}{_PART}"
        content = io.BytesIO()
        pq.write_table(to_table(examples), content, compression="zstd")
        with storage_errors(f"{path} cannot be written"):
            self._files.makedirs(self._folder(day), exist_ok=True)
            if isinstance(self._files, LocalFileSystem):
                _write_whole(Path(path), content.getbuffer())
            else:  # an object is there when it is whole
                self._files.pipe_file(path, content.getvalue())
        return path

    def _folder(self, day: date) -> str:
        return f"{self._root}/{_DAY}{day.isoformat()}"

    def _days(self, first: date) -> list[str]:
        with storage_errors(f"{self._root} cannot be read"):
            try:
                folders = [path.rstrip("/") for path in self._files.ls(self._root, detail=False)]
            except FileNotFoundError:
                return []  # nothing was ever written
        oldest = f"{_DAY}{first.isoformat()}"
        names = {path.rpartition("/")[2]: path for path in folders}
        return [names[name] for name in sorted(names) if name.startswith(_DAY) and name >= oldest]

    def _of_day(self, folder: str) -> Iterator[list[Example] | str]:
        """Give each part of a date, or why it cannot be read.

        A part that vanished was compacted: what was in it is in a new one.
        """
        done: set[str] = set()
        while left := [path for path in self._paths(folder) if path not in done]:
            for path in left:
                done.add(path)
                if (part := self._read(path)) is not None:
                    yield part

    def _paths(self, folder: str) -> list[str]:
        with storage_errors(f"{folder} cannot be read"):
            try:
                found = self._files.ls(folder, detail=False)
            except FileNotFoundError:
                return []
        return sorted(path for path in found if path.endswith(_PART))

    def _read(self, path: str) -> list[Example] | str | None:
        """Return the examples of a part, or why it is damaged; None where it is not there."""
        with storage_errors(f"{path} cannot be read"):
            try:
                content = self._files.cat_file(path)
            except FileNotFoundError:
                return None
        try:
            table = pq.read_table(io.BytesIO(content), partitioning=None)
            version = (table.schema.metadata or {}).get(_VERSION)
            if version != SCHEMA.metadata[_VERSION]:
                raise ValueError(
                    f"format {version!r}, this program reads {SCHEMA.metadata[_VERSION]!r}"
                )
            return from_table(table)
        except (pa.ArrowException, ValueError, OSError) as error:
            return f"{path} is damaged: {str(error) or repr(error)}"


def _keep_newest(newest: dict[str, Example], examples: Iterable[Example]) -> None:
    for example in examples:
        known = newest.get(example.listing_id)
        if known is None or example.revision > known.revision:
            newest[example.listing_id] = example


def _write_whole(path: Path, content: memoryview) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
