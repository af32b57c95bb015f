"""The histograms of a store: the durable ones as far as they are used, and the changed ones."""

from collections.abc import Iterable, Iterator, KeysView
from itertools import islice

from stats_store.backend.protocol import Backend
from stats_store.changelog import Change
from stats_store.histogram import PriceHistogram

_STEP = 1_000  # entries of which keys are looked up at once: their values come along


class HistogramTable:
    """Decoded histograms by the key of their entry.

    Changed ones are held until they are durable; of the others the latest changed are kept, so
    that few are read again. Memory is bounded by the number kept and the size of a batch.
    """

    def __init__(self, backend: Backend, *, kept: int) -> None:
        """Read from a backend; keep at most `kept` unchanged histograms from batch to batch."""
        self._backend = backend
        self._kept = kept
        self._changed: dict[bytes, PriceHistogram] = {}
        self._clean: dict[bytes, PriceHistogram] = {}  # least recently changed first

    def get(self, key: bytes) -> PriceHistogram | None:
        """Return a histogram as of now, to be read only; None where there never was one."""
        histogram = self._changed.get(key)
        if histogram is None:
            histogram = self._clean.get(key)
        if histogram is None:
            stored = self._backend.get(key)
            if stored is not None:
                histogram = self._clean[key] = PriceHistogram.from_bytes(stored)
        return histogram

    def fetch(self, keys: Iterable[bytes]) -> None:
        """Read histograms at once that will be asked for in this batch."""
        missing = [key for key in keys if key not in self._changed and key not in self._clean]
        for key, stored in zip(missing, self._backend.get_many(missing), strict=True):
            # One that never was is kept as an empty one: it is about to be changed.
            self._clean[key] = (
                PriceHistogram() if stored is None else PriceHistogram.from_bytes(stored)
            )

    def to_change(self, key: bytes) -> PriceHistogram:
        """Return a histogram that will be changed; a new one where there never was one."""
        histogram = self._changed.get(key)
        if histogram is None:
            histogram = self.get(key)
            if histogram is None:
                histogram = PriceHistogram()
            self._clean.pop(key, None)
            self._changed[key] = histogram
        return histogram

    def changes(self) -> list[Change]:
        """Return the changed histograms, encoded, in no order."""
        return [(key, histogram.to_bytes()) for key, histogram in self._changed.items()]

    def committed(self) -> None:
        """Take note that the changed histograms are durable."""
        self._clean |= self._changed
        self._changed = {}
        surplus = len(self._clean) - self._kept
        for key in list(islice(self._clean, max(surplus, 0))):
            del self._clean[key]

    def rolled_back(self) -> None:
        """Forget the changed histograms."""
        self._changed = {}

    def replaced(self, keys: KeysView[bytes]) -> None:
        """Take note that the entries of keys have been written from elsewhere."""
        for key in self._clean.keys() & keys:
            del self._clean[key]


def keys_of(backend: Backend, prefix: bytes) -> Iterator[bytes]:
    """Yield the keys of entries that start with `prefix`, in order."""
    start = prefix
    while entries := backend.scan_from(start, limit=_STEP):
        for key, _ in entries:
            if not key.startswith(prefix):
                return
            yield key
        start = entries[-1][0] + b"\0"
