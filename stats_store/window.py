"""Counts of the last N days: one histogram a scope and day.

What a day's histogram holds never changes with time, only whether the day counts. So nothing
has to happen at midnight: a reader adds up the days that are in the window. Days that have left
it are deleted little by little; a copy that never hears of the deletion gives the same answers.
"""

from collections.abc import Iterable, KeysView, Sequence

from stats_store.backend.protocol import Backend
from stats_store.changelog import Change
from stats_store.histogram import PriceHistogram
from stats_store.histogram_table import HistogramTable, keys_of

_SEPARATOR = b"\0"  # names are printable, so it is in none of them
_DAY_BYTES = 4
_SWEPT = 200  # entries looked at in a batch; a million in an hour of a batch a second
_KEPT_TOTALS = 4096


class WindowCounts:
    """The sold prices of each scope and day; see `stats_store.counting.Counts`.

    Sums over the window are kept for the latest 4,096 scopes read. The first reading after the
    day changed adds up at most `days` histograms.
    """

    def __init__(self, backend: Backend, *, days: int, kept: int) -> None:
        self._backend = backend
        self._days = days
        self._table = HistogramTable(backend, kept=kept)
        self._changed_days: dict[bytes, set[int]] = {}
        self._totals: dict[bytes, tuple[int, PriceHistogram]] = {}  # as of a day
        self._swept_to = b"h"

    def fetch(self, places: Iterable[tuple[bytes, int]]) -> None:
        """Read at once what will be changed."""
        self._table.fetch({_entry(key, day) for key, day in places})

    def add(self, keys: Sequence[bytes], day: int, price: int) -> None:
        """Count a price, sold on a day."""
        for key in keys:
            self._table.to_change(_entry(key, day)).add(price)
            self._changed_days.setdefault(key, set()).add(day)
            if (total := self._totals.get(key)) is not None and day > total[0] - self._days:
                total[1].add(price)

    def remove(self, keys: Sequence[bytes], day: int, price: int) -> None:
        """Take a price back that was counted on a day of the window."""
        for key in keys:
            self._table.to_change(_entry(key, day)).remove(price)
            self._changed_days.setdefault(key, set()).add(day)
            self._totals.pop(key, None)

    def get(self, key: bytes, today: int) -> PriceHistogram | None:
        """Return the prices of a scope in the window, to be read only; None without any."""
        total = self._totals.pop(key, None)
        if total is None or total[0] != today:
            total = today, self._added_up(key, today)
        self._totals[key] = total  # now the latest
        if len(self._totals) > _KEPT_TOTALS:
            del self._totals[next(iter(self._totals))]
        return total[1] if total[1].count else None

    def keys(self, prefix: bytes) -> set[bytes]:
        """Return the keys that start with `prefix`, also of what has left the window."""
        return {entry[: -_DAY_BYTES - 1] for entry in keys_of(self._backend, prefix)}

    def changes(self, today: int) -> list[Change]:
        """Return the changed entries, and a few deletions of days that have left the window."""
        changed: list[Change] = [
            change for change in self._table.changes() if not self._gone(change[0], today)
        ]
        entries = self._backend.scan_from(self._swept_to, limit=_SWEPT)
        self._swept_to = entries[-1][0] + b"\0" if len(entries) == _SWEPT else b"h"
        return changed + [(key, None) for key, _ in entries if self._gone(key, today)]

    def committed(self) -> None:
        """Take note that the changes are durable."""
        self._table.committed()
        self._changed_days.clear()

    def rolled_back(self) -> None:
        """Forget the changes."""
        self._table.rolled_back()
        for key in self._changed_days:
            self._totals.pop(key, None)
        self._changed_days.clear()

    def replaced(self, keys: KeysView[bytes]) -> None:
        """Take note that entries were written from elsewhere."""
        self._table.replaced(keys)
        self._totals.clear()

    def _added_up(self, key: bytes, today: int) -> PriceHistogram:
        entries = {entry for entry, _ in self._backend.scan(key + _SEPARATOR)}
        entries |= {_entry(key, day) for day in self._changed_days.get(key, ())}
        total = PriceHistogram()
        for entry in entries:
            if not self._gone(entry, today):
                histogram = self._table.get(entry)
                if histogram is not None:
                    total.merge(histogram)
        return total

    def _gone(self, entry: bytes, today: int) -> bool:
        return int.from_bytes(entry[-_DAY_BYTES:], "big") <= today - self._days


def _entry(key: bytes, day: int) -> bytes:
    return key + _SEPARATOR + day.to_bytes(_DAY_BYTES, "big")
