"""The border between the transactional loop and what a worker does with records.

A processor knows nothing of Kafka: it is handed records and returns what shall be written.
The loop knows nothing of prices: it polls, merges, commits, aborts and hands over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

Headers = Sequence[tuple[str, bytes | None]]


class Record(msgspec.Struct, frozen=True, gc=False):
    """One consumed record. `topic` is the name in the contract, without a prefix."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Output(msgspec.Struct, frozen=True, gc=False):
    """One record to be written in the transaction of the batch that caused it."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that is set aside: the loop writes it to its dead-letter topic and counts it.

    `stage` says where it failed (decode, validate, process...).
    """

    record: Record
    stage: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Later:
    """A record of the batch that cannot be processed yet; it comes again in a later one.

    All later records of its partition in the batch must be put off, too.
    """

    record: Record


class Processor(Protocol):
    """What a worker does with records. All calls but `assigned` come from the loop's thread.

    One partition number stands for that partition of every input topic, since they are
    co-partitioned. For each batch the order is `process`, then exactly one of `committed` and
    `aborted`; neither, where nothing comes of a batch.
    """

    def assigned(self, partition: int) -> Mapping[str, int]:
        """Take a partition over: restore its state. Runs in a thread of its own and may block.

        Returns the offset to read next by input topic; a topic left out starts at the group's
        committed offset. It is called again, after `revoked`, when the outcome of a transaction
        is not known.
        """

    def revoked(self, partition: int) -> None:
        """Let a partition go; nothing of it is in a transaction then.

        A restore still under way in `assigned` is cut short; the loop waits for it to return and
        then calls this once more, for what it may have left.
        """

    def arrived(self, records: Sequence[Record]) -> None:
        """See records that were polled and will be in a later batch. Must not block or raise."""

    def process(self, records: Sequence[Record]) -> Sequence[Output | Rejected | Later]:
        """Turn a batch into what shall be written, the records in the order given.

        The batch is empty when `due` asked for it. What it changes in memory stays provisional
        until `committed`. An error of the record itself (ValueError, KeyError, ...) makes the
        loop abort and retry with half the batch until the one culprit is found and rejected.
        OSError, MemoryError and the root errors of our packages end the worker.
        """

    def skip(self, record: Record) -> Sequence[Output]:
        """Note that a record is done with, though it cannot be processed; called after `aborted`.

        Whoever keeps positions beside its state notes this one, and returns what is to be written
        for it in the transaction of the dead letter: else the record would come again, and its
        dead letter, too, when the state is next restored. `committed` or `aborted` follows.
        """

    def committed(self, written: Mapping[tuple[str, int], int]) -> None:
        """The transaction stands. `written` has the last offset written by (topic, partition).

        Makes the batch durable locally. An error here ends the worker: the changelog mends it.
        """

    def aborted(self) -> None:
        """The transaction does not stand: forget all that `process` did since `committed`."""

    def due(self) -> bool:
        """Say whether `process` should be called now even without records."""
