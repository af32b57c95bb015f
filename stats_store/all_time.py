"""Counts of all time: one histogram a scope."""

from collections import defaultdict
from collections.abc import Iterable, KeysView, Sequence

from stats_store.backend.protocol import Backend
from stats_store.changelog import Change
from stats_store.histogram import PriceHistogram
from stats_store.histogram_table import HistogramTable, keys_of


class AllTimeCounts:
    """The sold prices of each scope; see `stats_store.counting.Counts` for what it does.

    What is added is only noted, and counted when it is asked for, all prices of a scope at once.
    """

    def __init__(self, backend: Backend, *, kept: int) -> None:
        self._backend = backend
        self._table = HistogramTable(backend, kept=kept)
        self._noted: defaultdict[bytes, list[int]] = defaultdict(list)

    def fetch(self, places: Iterable[tuple[bytes, int]]) -> None:
        """Read at once what will be changed."""
        self._table.fetch({key for key, _ in places})

    def add(self, keys: Sequence[bytes], day: int, price: int) -> None:  # noqa: ARG002
        """Count a price."""
        noted = self._noted
        for key in keys:
            noted[key].append(price)

    def remove(self, keys: Sequence[bytes], day: int, price: int) -> None:  # noqa: ARG002
        """Take a price back that was counted."""
        for key in keys:
            self._count(key)
            self._table.to_change(key).remove(price)

    def get(self, key: bytes, today: int) -> PriceHistogram | None:  # noqa: ARG002
        """Return the prices of a scope, to be read only; None where there never were any."""
        self._count(key)
        return self._table.get(key)

    def keys(self, prefix: bytes) -> set[bytes]:
        """Return the keys that start with `prefix`."""
        return set(keys_of(self._backend, prefix))

    def changes(self, today: int) -> list[Change]:  # noqa: ARG002
        """Return the changed entries."""
        for key, prices in self._noted.items():
            self._table.to_change(key).add_good(prices)
        self._noted.clear()
        return self._table.changes()

    def committed(self) -> None:
        """Take note that the changes are durable."""
        self._table.committed()

    def rolled_back(self) -> None:
        """Forget the changes."""
        self._noted.clear()
        self._table.rolled_back()

    def replaced(self, keys: KeysView[bytes]) -> None:
        """Take note that entries were written from elsewhere."""
        self._table.replaced(keys)

    def _count(self, key: bytes) -> None:
        if (prices := self._noted.pop(key, None)) is not None:
            self._table.to_change(key).add_good(prices)
