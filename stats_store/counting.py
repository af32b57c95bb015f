"""What a store needs of the place where prices are counted by scope."""

from collections.abc import Iterable, KeysView, Sequence
from typing import Protocol

from stats_store.changelog import Change
from stats_store.histogram import PriceHistogram


class Counts(Protocol):
    """Sold prices by scope and day: of all time (`all_time`), or of a window (`window`).

    A key is that of the entry of a scope: the family of histograms and the byte form of its
    ScopeKey. Days are counted from 1970. Changes are provisional until `committed`.
    """

    def fetch(self, places: Iterable[tuple[bytes, int]]) -> None:
        """Read at once what will be changed: scopes and days."""

    def add(self, keys: Sequence[bytes], day: int, price: int) -> None:
        """Count a price, sold on a day that counts, in several scopes."""

    def remove(self, keys: Sequence[bytes], day: int, price: int) -> None:
        """Take a price back that was counted in several scopes on a day that counts."""

    def get(self, key: bytes, today: int) -> PriceHistogram | None:
        """Return the prices of a scope as of a day, to be read only; None where there are none."""

    def keys(self, prefix: bytes) -> set[bytes]:
        """Return the keys, of those that start with `prefix`, of which anything is durable."""

    def changes(self, today: int) -> list[Change]:
        """Return the changed entries as records of the changelog."""

    def committed(self) -> None:
        """Take note that the changes are durable."""

    def rolled_back(self) -> None:
        """Forget the changes."""

    def replaced(self, keys: KeysView[bytes]) -> None:
        """Take note that entries were written from elsewhere."""
