"""Parts of category and global histograms that other partitions have counted.

Sellers live in one partition; categories and the global scope cut across. Each partition
publishes its own part under the key of the statistic, in the partition of the topic that has
its number, and every reader adds up the parts. Histograms add, so the sum is exact.
"""

from typing import Protocol

from schemas.statistics import Scope
from stats_store.errors import CorruptRecordError
from stats_store.histogram import PriceHistogram
from stats_store.identity import read_local_number
from stats_store.scope import ScopeKey

_KEPT_TOTALS = 4096
DAY_NAME = b"day"  # beside the parts: up to which day a partition with a window knows sales


class PartsOfOthers(Protocol):
    """Whatever knows the sums of what the other partitions have published."""

    def total(self, key: ScopeKey, *, without: int) -> PriceHistogram | None:
        """Return the sum of all parts of a statistic but that of one partition, to be read only.

        None means that no other partition has published a part.
        """


class RemoteParts:
    """The published parts of all partitions, and their sums without one of them.

    Parts are kept encoded: about 1 KiB for each category, currency and partition, so 10,000
    categories in 16 partitions take 160 MiB. Of 4,096 statistics the sums are kept decoded.
    Not thread-safe.
    """

    def __init__(self) -> None:
        self._parts: dict[bytes, dict[int, bytes]] = {}
        self._totals: dict[bytes, dict[int, PriceHistogram]] = {}
        self._days: dict[int, int] = {}

    @property
    def latest_day(self) -> int:
        """The latest day that any partition says it knows of, in days since 1970."""
        return max(self._days.values(), default=0)

    def apply(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Take in a record of the partials topic; None means that the part is gone.

        The value is decoded when a sum is asked for: most are replaced before anyone does.

        Raises:
            CorruptRecordError: the key is not that of a category or of the global scope; nothing
                changed.
        """
        if key == DAY_NAME:
            self._days[partition] = 0 if value is None else read_local_number(value)
            return
        if ScopeKey.from_bytes(key).scope is Scope.SELLER:
            raise CorruptRecordError(f"{key[:40]!r} is not the key of a partial statistic")
        parts = self._parts.setdefault(key, {})
        totals = self._totals.pop(key, {})
        if partition in totals:  # the one sum that this part is not in
            self._totals[key] = {partition: totals[partition]}
        if value is None:
            parts.pop(partition, None)
        else:
            parts[partition] = value

    def published(self, partition: int) -> dict[bytes, bytes]:
        """Return what a partition has published, by the byte form of the key."""
        return {key: parts[partition] for key, parts in self._parts.items() if partition in parts}

    def total(self, key: ScopeKey, *, without: int) -> PriceHistogram | None:
        """Return the sum of all parts of a statistic but that of one partition, to be read only.

        None means that no other partition has published a part.

        Raises:
            CorruptHistogramError: what a partition has published is not a histogram.
        """
        name = key.to_bytes()
        parts = self._parts.get(name)
        if parts is None or not parts.keys() - {without}:
            return None
        totals = self._totals.pop(name, {})
        self._totals[name] = totals  # now the latest
        if len(self._totals) > _KEPT_TOTALS:
            del self._totals[next(iter(self._totals))]
        if without not in totals:
            total = PriceHistogram()
            for partition, part in parts.items():
                if partition != without:
                    total.merge(PriceHistogram.from_bytes(part))
            totals[without] = total
        return totals[without]
