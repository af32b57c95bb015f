"""The facts in a Faust table: RocksDB here, the changelog on the cluster."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import rocksdict
from faust.types import TP

from workers.outcomes.ledger import Change


class TableLedger:
    """Reads and writes the partitions of a Faust table, see `workers.outcomes.ledger.Ledger`.

    Faust's table finds a single key at a time, in the partition of the event in hand, and sends
    each write on its own without waiting for it. Here keys are read in their order, and a batch
    is written at once; what it is restored from, and when, is Faust's.
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        self._next: dict[int, int] = {}  # by partition, the offset of the changelog to follow

    def assigned(self, partition: int) -> None:
        """Begin with a partition; Faust has restored it."""
        offset = self._table.data.persisted_offset(TP(self.changelog, partition))
        self._next[partition] = 0 if offset is None else offset + 1

    def revoked(self, partition: int) -> None:
        """Let a partition go."""
        self._next.pop(partition, None)

    @property
    def changelog(self) -> str:
        """The topic that the table is restored from, by its name on the cluster."""
        return str(self._table.changelog_topic_name)

    def range(self, partition: int, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values from a key on, in the order of the keys' bytes."""
        found = self._db(partition).iter()
        found.seek(start)
        while found.valid():
            yield found.key(), found.value()
            found.next()

    def write(self, changes: Iterable[Change]) -> None:
        """Write changes into the local store, in their order."""
        batches: dict[int, Any] = {}
        for partition, key, value in changes:
            batch = batches.get(partition)
            if batch is None:
                batch = batches[partition] = rocksdict.WriteBatch(raw_mode=True)
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        for partition, batch in batches.items():
            self._db(partition).write(batch)

    def acknowledged(self, partition: int, offsets: Sequence[int]) -> None:
        """Note which offsets of the changelog the last changes have, in their order.

        How far the local store goes is noted only as long as nobody else has written in between:
        a worker that was held up and has lost the partition would otherwise believe that it has
        what its successor wrote, and miss it when the partition comes back.
        """
        expected = self._next.get(partition)
        if offsets[0] == expected and offsets[-1] - offsets[0] == len(offsets) - 1:
            place = TP(self.changelog, partition)
            self._table.data.set_persisted_offset(place, offsets[-1])
            self._next[partition] = offsets[-1] + 1

    def _db(self, partition: int) -> Any:
        return self._table.data._db_for_partition(partition)
