"""The simplest processor, and the loop that runs it in a thread of its own."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workers.runtime.loop import TransactionalLoop
from workers.runtime.processing import Later, Output, Record, Rejected

PARTITIONS = 2
SALES, LISTINGS, ECHO = "sales", "listings", "echo"
DEADLINE_S = 60.0


class Echo:
    """Copies each record; fails on a value that says so, as code with a fault would."""

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.changed = threading.Condition()
        self.seen: list[tuple[str, int, int]] = []
        self.provisional: list[tuple[str, int, int]] = []
        self.starts: dict[int, Mapping[str, int]] = {}
        self.restoring = threading.Event()  # a restore is under way
        self.restored = threading.Event()  # and may end
        self.restored.set()
        self.open: set[int] = set()
        self.before_commit: Callable[[], None] = lambda: None
        self.puts_off: set[int] = set()  # partitions whose records are not ready
        self.owes: set[int] = set()  # partitions of which something is to be written
        self.waiting = self.most_waiting = 0  # records that arrived and are not committed

    def assigned(self, partition: int) -> Mapping[str, int]:
        assert partition not in self.open, "opened twice"
        self.restoring.set()
        assert self.restored.wait(DEADLINE_S)
        self.open.add(partition)
        with self.changed:
            self.held.add(partition)
            self.changed.notify_all()
        return self.starts.get(partition, {})

    def revoked(self, partition: int) -> None:
        self.restored.set()
        self.open.discard(partition)
        with self.changed:
            self.held.discard(partition)
            self.changed.notify_all()

    def wait_to_hold(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.held) == count, DEADLINE_S)

    def arrived(self, records: Sequence[Record]) -> None:
        self.waiting += len(records)
        self.most_waiting = max(self.most_waiting, self.waiting)

    def process(self, records: Sequence[Record]) -> Sequence[Output | Rejected | Later]:
        results: list[Output | Rejected | Later] = [
            Output(ECHO, partition, None, b"owed %d" % partition, [], 1_000)
            for partition in self.owes & self.held
        ]
        for record in records:
            assert record.partition in self.held
            if record.partition in self.puts_off:
                results.append(Later(record))
                continue
            if record.value == b"faulty":
                raise ValueError("this one cannot be processed")
            if record.value == b"wrong":
                results.append(Rejected(record, "decode", KeyError("no such field")))
                continue
            self.provisional.append((record.topic, record.partition, record.offset))
            results.append(
                Output(ECHO, record.partition, record.key, record.value, [], record.timestamp_ms)
            )
        self.before_commit()
        return results

    def skip(self, record: Record) -> Sequence[Output]:
        note = b"skipped " + (record.value or b"")
        return [Output(ECHO, record.partition, record.key, note, [], record.timestamp_ms)]

    def committed(self, written: Mapping[tuple[str, int], int]) -> None:
        self.waiting -= len(self.provisional)
        self.owes -= self.held
        self.seen += self.provisional
        self.provisional = []

    def aborted(self) -> None:
        self.provisional = []

    def due(self) -> bool:
        return bool(self.owes & self.held)


class Running:
    """A loop in a thread of its own."""

    def __init__(self, loop: TransactionalLoop, processor: Echo) -> None:
        self.loop, self.processor = loop, processor
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.loop.run()
        except BaseException as error:  # noqa: BLE001  handed to the test
            self.error = error

    def stop(self) -> None:
        self.loop.stop()
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive()


Start = Callable[..., Running]
RefuseStarts = Callable[[Callable[[int], int | None]], None]


def numbered(count: int, *, tag: str = "", first: int = 0) -> list[dict[str, Any]]:
    return [
        {"key": b"k%d" % i, "value": f"{tag}{i}".encode(), "timestamp": 1_000 + i}
        for i in range(first, first + count)
    ]
