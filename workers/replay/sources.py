"""What can be replayed, a dataset or a recorded log, as records to publish in order of time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import structlog

from models.dataset.reader import read_dataset
from schemas.cloudevents import encode
from workers.errors import BadDataError
from workers.replay.event_log import EventLog
from workers.replay.timeline import TimedEvent, timeline
from workers.runtime.processing import Headers

log = structlog.get_logger(__name__)

SOURCE = "/secondsight/replay"

BY_KEY = -1
"""In place of a partition: the one that murmur2 of the key gives."""

_SHOWN = 5  # of the rows left out; the rest is only counted


@dataclass(frozen=True, slots=True)
class Publication:
    """One record to publish.

    Attributes:
        where: its place in the source, for messages.
        topic: contract name.
        partition: a number, or BY_KEY.
        key: of the record, as its value, headers and timestamp.
        value: see key.
        headers: see key.
        timestamp_ms: see key.
        due_ms: when it was published, in ms since 1970; never less than that of the one before.
    """

    where: str
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    due_ms: int


class Source(Protocol):
    """Something that can be replayed; may be gone through more than once."""

    def publications(self, partitions: Mapping[str, int]) -> Iterator[Publication]:
        """Yield what is to be published, in order.

        Args:
            partitions: how many each topic has on the cluster, by its contract name; where a
                topic is missing in it, the records go by key.

        Raises:
            BadDataError: the source is broken; says where.
        """


def open_source(path: Path) -> Source:
    """Open a dataset folder or a recorded log.

    Raises:
        BadDataError: it is neither, or there is nothing in the dataset to publish.
        DatasetError: the dataset cannot be read.
    """
    if path.is_dir():
        return DatasetSource(path)
    if path.is_file():
        return LogSource(path)
    raise BadDataError(f"{path} is neither a dataset folder nor a recorded log")


class LogSource:
    """The records of a log as they were: into their own partition where the topic has as many."""

    def __init__(self, path: Path) -> None:
        self._log = EventLog(path)

    def publications(self, partitions: Mapping[str, int]) -> Iterator[Publication]:
        """See `Source.publications`."""
        now_ms = 0
        for line, record in self._log:
            now_ms = max(now_ms, record.timestamp_ms)
            as_many = partitions.get(record.topic) == self._log.partitions[record.topic]
            yield Publication(
                where=f"{self._log.path}, line {line}",
                topic=record.topic,
                partition=record.partition if as_many else BY_KEY,
                key=record.key,
                value=record.value,
                headers=record.headers,
                timestamp_ms=record.timestamp_ms,
                due_ms=now_ms,
            )


class DatasetSource:
    """The listings and sales of a dataset as events; see `workers.replay.timeline`."""

    def __init__(self, folder: Path) -> None:
        dataset = read_dataset(folder)
        self._folder = folder
        left_out = [str(row) for row in dataset.skipped]
        self._events = timeline(dataset, on_skip=left_out.append)
        for reason in left_out[:_SHOWN]:
            log.warning("row left out", reason=reason)
        if left_out:
            log.warning("rows left out", rows=len(left_out), events=len(self._events))
        if not self._events:
            raise BadDataError(f"{folder} has no row that can be published as an event")

    def publications(self, partitions: Mapping[str, int]) -> Iterator[Publication]:  # noqa: ARG002
        """See `Source.publications`."""
        return (self._publication(timed) for timed in self._events)

    def _publication(self, timed: TimedEvent) -> Publication:
        headers = encode(
            timed.event,
            event_id=timed.event_id,
            source=SOURCE,
            time=timed.time,
            subject=timed.subject,
        )
        return Publication(
            where=f"{self._folder}, event {timed.event_id} of {timed.subject}",
            topic=timed.topic,
            partition=BY_KEY,
            key=timed.key,
            value=timed.event.to_bytes(),
            headers=headers,
            timestamp_ms=timed.timestamp_ms,
            due_ms=_milliseconds(timed.publish_at),
        )


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
