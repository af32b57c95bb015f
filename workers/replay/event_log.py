"""Recorded logs: records of Kafka topics in a file of JSON lines, in the order of publishing.

The first line is the head, each other line one record:

    {"format": "secondsight-log", "version": 1, "partitions": {"transactions": 4}}
    {"topic": "transactions", "partition": 0, "offset": 7, "timestamp_ms": 1772323200000,
     "key": "s-7", "value": "{...}", "headers": [["ce_id", "t-501"], ["trace", {"base64": "/w=="}]]}

(two lines here, one in the file). `topic` is the name in the contract, `partitions` says how many
each topic had. Bytes are a string where they are UTF-8, else `{"base64": ...}`; null is null. A
file whose name ends in `.gz` is gzip. The same records give the same bytes.
"""

import base64
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from schemas.validation import describe
from workers.errors import BadDataError
from workers.runtime.processing import Record

MAX_LINE_BYTES = 64 * 1024 * 1024
"""Far above a record that Kafka takes by default; it bounds the memory for what is no log."""

_SUFFIX_GZIP = ".gz"
_LINE_ENDINGS = b"\r\n"


def _payload(value: object) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and list(value) == ["base64"] and isinstance(value["base64"], str):
        return base64.b64decode(value["base64"], validate=True)
    raise ValueError('should be a string, null or {"base64": "..."}')


_Payload = Annotated[bytes | None, BeforeValidator(_payload)]
_TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Head(_Line):
    format: Literal["secondsight-log"] = "secondsight-log"
    version: Literal[1] = 1
    partitions: dict[_TopicName, Annotated[int, Field(ge=1)]]


class _RecordLine(_Line):
    topic: _TopicName
    partition: Annotated[int, Field(ge=0, le=2**31 - 1)]
    offset: Annotated[int, Field(ge=0, le=2**63 - 1)]
    # Kafka's clients take a time of 0 for "now"
    timestamp_ms: Annotated[int, Field(ge=1, le=2**63 - 1)]
    key: _Payload
    value: _Payload
    headers: list[tuple[str, _Payload]]


class LogWriter:
    """Writes a log; to be entered. The file is whole when the block has ended without an error.

    Args:
        path: the file, which is replaced.
        partitions: how many partitions each topic has, by its contract name.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, partitions: Mapping[str, int]) -> None:
        self._path = path
        self._head = {"format": "secondsight-log", "version": 1, "partitions": dict(partitions)}

    def __enter__(self) -> Self:
        self._file = self._path.open("wb")
        self._stream = cast(IO[bytes], self._file)
        if self._path.suffix == _SUFFIX_GZIP:
            # without name and time in it, so that equal logs are equal files
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=self._file, mtime=0)
            self._stream = cast(IO[bytes], packed)
        self._write(self._head)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._stream is not self._file:
                self._stream.close()
        finally:
            self._file.close()

    def append(self, record: Record) -> None:
        """Write one record."""
        self._write(
            {
                "topic": record.topic,
                "partition": record.partition,
                "offset": record.offset,
                "timestamp_ms": record.timestamp_ms,
                "key": _written(record.key),
                "value": _written(record.value),
                "headers": [[name, _written(text)] for name, text in record.headers],
            }
        )

    def _write(self, line: Mapping[str, Any]) -> None:
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
        self._stream.write(text.encode() + b"\n")


class EventLog:
    """A recorded log. It can be gone through more than once and is never held in memory whole.

    Attributes:
        path: the file.
        partitions: how many partitions each topic had when it was recorded.
    """

    def __init__(self, path: Path) -> None:
        """Read the head.

        Raises:
            BadDataError: the file cannot be read or is no such log.
        """
        self.path = path
        self.partitions: Mapping[str, int] = {}
        for number, line in self._lines():
            try:
                self.partitions = _Head.model_validate_json(line).partitions
            except ValidationError as error:
                raise BadDataError(
                    f"{path}, line {number}: this is not the head of a log that 'secondsight "
                    f"record' wrote: {describe(error)}"
                ) from None
            return
        raise BadDataError(f"{path} is empty; a recorded log has at least its head")

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        """Yield each record with the number of its line.

        Raises:
            BadDataError: a line is broken, or the file is cut off; says which line.
        """
        lines = self._lines()
        next(lines, None)
        for number, line in lines:
            try:
                fields = _RecordLine.model_validate_json(line)
            except ValidationError as error:
                raise BadDataError(f"{self.path}, line {number}: {describe(error)}") from None
            if fields.topic not in self.partitions:
                raise BadDataError(
                    f"{self.path}, line {number}: the head does not name the topic {fields.topic}"
                )
            yield number, Record(**dict(fields))

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        try:
            with self._open() as stream:
                while line := stream.readline(MAX_LINE_BYTES + 1):
                    number += 1
                    if len(line) > MAX_LINE_BYTES:
                        raise BadDataError(
                            f"{self.path}, line {number} is longer than {MAX_LINE_BYTES} bytes"
                        )
                    yield number, line.rstrip(_LINE_ENDINGS)
        except (OSError, EOFError, zlib.error) as error:
            after = f" after line {number}" if number else ""
            raise BadDataError(f"{self.path} cannot be read{after}: {_reason(error)}") from None

    def _open(self) -> IO[bytes]:
        if self.path.suffix == _SUFFIX_GZIP:
            return cast(IO[bytes], gzip.open(self.path, "rb"))
        return self.path.open("rb")


def _written(data: bytes | None) -> object:
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
