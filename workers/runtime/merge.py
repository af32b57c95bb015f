"""The inputs of a partition, merged by record timestamp as Kafka Streams does.

A batch must not depend on which topic happened to be fetched first. So the record with the
smallest timestamp goes next, and a side with nothing buffered holds the others back: until it
is known to have caught up with the end of its log (KIP-695), and then for at most `max_idle`
seconds more from the arrival of the record that waits (KIP-353).
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, repeat
from operator import attrgetter

from workers.runtime.processing import Record

_PLACE = attrgetter("topic", "partition")


@dataclass(slots=True)
class _Side:
    waiting: deque[tuple[Record, float]] = field(default_factory=deque)  # record, arrival
    caught_up: bool = False


class TimestampMerge:
    """Buffers polled records and releases them partition by partition in timestamp order.

    On equal timestamps the input that stands later in `inputs` goes first: with
    `(transactions, listing.created)` a listing sees the sales strictly before it.

    Args:
        inputs: the topics that are merged, by their contract names.
        max_idle: seconds that a side without records, known to be at the end of its log, holds
            the others back.
        clock: a monotonic clock in seconds.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        *,
        max_idle: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rank = {topic: -position for position, topic in enumerate(inputs)}
        self._max_idle = max_idle
        self._clock = clock
        self._sides: dict[int, dict[str, _Side]] = {}
        self._size = 0

    def __len__(self) -> int:
        """Return how many records wait."""
        return self._size

    def open(self, partition: int) -> None:
        """Begin (again) with a partition, with nothing buffered and no side caught up."""
        self.close(partition)
        self._sides[partition] = {topic: _Side() for topic in self._rank}

    def close(self, partition: int) -> None:
        """Forget a partition and what is buffered of it."""
        for side in self._sides.pop(partition, {}).values():
            self._size -= len(side.waiting)

    def add(self, records: Iterable[Record]) -> list[Record]:
        """Buffer polled records; return those whose partition is open."""
        added: list[Record] = []
        now = self._clock()
        for (topic, partition), run in groupby(records, key=_PLACE):
            side = self._side(topic, partition)
            if side is None:
                continue
            arrived = list(run)
            side.caught_up = False
            side.waiting.extend(zip(arrived, repeat(now)))
            added += arrived
        self._size += len(added)
        return added

    def reached_end(self, topic: str, partition: int) -> None:
        """Note that the consumer stands at the end of that log."""
        side = self._side(topic, partition)
        if side is not None:
            side.caught_up = True

    def put_back(self, records: Iterable[Record]) -> None:
        """Return records that were taken, in the order taken; they are the next ones again.

        The first of them is the very next, so that one that fails is found by taking fewer,
        however much waits in other partitions. Records of partitions that were closed meanwhile
        are dropped.
        """
        returned = list(records)
        if returned and (sides := self._sides.pop(returned[0].partition, None)) is not None:
            self._sides = {returned[0].partition: sides, **self._sides}
        self._return(returned)

    def put_off(self, records: Iterable[Record]) -> None:
        """Return records that were taken but are not ready; other partitions have their turn first.

        Within their partition they are the next ones again, in the order taken.
        """
        returned = list(records)
        for partition in dict.fromkeys(record.partition for record in returned):
            if (sides := self._sides.pop(partition, None)) is not None:
                self._sides[partition] = sides
        self._return(returned)

    def _return(self, records: Sequence[Record]) -> None:
        for record in reversed(records):
            side = self._side(record.topic, record.partition)
            if side is not None:
                side.waiting.appendleft((record, float("-inf")))
                self._size += 1

    def take(self, limit: int) -> list[Record]:
        """Take at most `limit` records that nothing holds back, fairly over the partitions."""
        taken: list[Record] = []
        turn = [partition for partition in self._sides if self._next(partition) is not None]
        while turn and len(taken) < limit:
            share = max(1, (limit - len(taken)) // len(turn))
            turn = [partition for partition in turn if self._drain(partition, share, limit, taken)]
        # The partition served first this time is the last one next time.
        if self._sides:
            first = next(iter(self._sides))
            self._sides[first] = self._sides.pop(first)
        return taken

    def seconds_to_release(self) -> float | None:
        """Return how long until the first held record may go: 0 now, None if only data helps."""
        waits = [wait for p in self._sides if (wait := self._hold(p)) is not None]
        return min(waits, default=None)

    def overfull(self, limit: int) -> list[tuple[str, int]]:
        """Name the (topic, partition) sides that buffer at least `limit` records."""
        return [
            (topic, partition)
            for partition, sides in self._sides.items()
            for topic, side in sides.items()
            if len(side.waiting) >= limit
        ]

    def buffered(self, topic: str, partition: int) -> int:
        """Return how many records of one side wait."""
        side = self._side(topic, partition)
        return len(side.waiting) if side is not None else 0

    def _side(self, topic: str, partition: int) -> _Side | None:
        sides = self._sides.get(partition)
        return sides[topic] if sides is not None else None

    def _drain(self, partition: int, share: int, limit: int, taken: list[Record]) -> bool:
        """Move up to `share` records into `taken`; say whether the partition may have more."""
        while share and len(taken) < limit:
            side = self._next(partition)
            if side is None:
                return False
            moved = self._take_run(partition, side, min(share, limit - len(taken)), taken)
            share -= moved
        return len(taken) < limit

    def _take_run(self, partition: int, side: _Side, most: int, taken: list[Record]) -> int:
        """Move the records of a side that go before all others; the first one may go.

        Returns how many: at least one, at most `most`.
        """
        sides = self._sides[partition]
        others = [
            (other.waiting[0][0].timestamp_ms, self._rank[topic])
            for topic, other in sides.items()
            if other is not side and other.waiting
        ]
        rank = next(self._rank[topic] for topic, each in sides.items() if each is side)
        before = min(others, default=(sys.maxsize, 0))
        alone = len(others) + 1 < len(sides)  # then each record waits its own time
        arrived_by = self._clock() - self._max_idle if alone else float("inf")
        waiting, start = side.waiting, len(taken)
        while waiting and len(taken) - start < most:
            record, arrival = waiting[0]
            if (record.timestamp_ms, rank) > before or arrival > arrived_by:
                break
            taken.append(record)
            waiting.popleft()
        # Whoever asked for the run has seen that its first record may go.
        if len(taken) == start:
            taken.append(waiting.popleft()[0])
        self._size -= len(taken) - start
        return len(taken) - start

    def _next(self, partition: int) -> _Side | None:
        hold = self._hold(partition)
        if hold is None or hold > 0:
            return None
        return self._earliest(partition)

    def _earliest(self, partition: int) -> _Side | None:
        heads = [
            (side.waiting[0][0].timestamp_ms, self._rank[topic], side)
            for topic, side in self._sides[partition].items()
            if side.waiting
        ]
        return min(heads, key=lambda head: head[:2])[2] if heads else None

    def _hold(self, partition: int) -> float | None:
        """Return seconds until the earliest record may go; None where only new data frees it."""
        earliest = self._earliest(partition)
        if earliest is None:
            return None
        empty = [side for side in self._sides[partition].values() if not side.waiting]
        if not empty:
            return 0.0
        if not all(side.caught_up for side in empty):
            return None
        return max(0.0, earliest.waiting[0][1] + self._max_idle - self._clock())
