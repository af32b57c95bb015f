"""The sold prices that a bundle was trained beside, for when live statistics are missing."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from models.errors import BundleError
from schemas.statistics import Statistics
from stats_store.features import statistics_of
from stats_store.histogram import PriceHistogram

_OVERALL = "global"
_CATEGORY = "category/"


@dataclass(frozen=True, slots=True)
class SalesSnapshot:
    """Histograms of all sold prices and of those of each category, in one currency."""

    currency: str
    overall: PriceHistogram = field(default_factory=PriceHistogram)
    categories: dict[str, PriceHistogram] = field(default_factory=dict)

    def statistics(self, category: str | None) -> Statistics:
        """Return the statistics of a listing of a new seller; an unknown category falls back."""
        of_category = self.categories.get(category) if category is not None else None
        return statistics_of(None, of_category, self.overall, self.currency)

    def save(self, path: Path) -> None:
        """Write the encoded histograms as byte tensors; equal snapshots give equal files."""
        named = {_OVERALL: self.overall}
        named |= {_CATEGORY + name: histogram for name, histogram in self.categories.items()}
        save_file(
            {name: np.frombuffer(named[name].to_bytes(), dtype=np.uint8) for name in sorted(named)},
            path,
        )

    @classmethod
    def load(cls, path: Path, currency: str) -> "SalesSnapshot":
        """Read what `save` wrote.

        Raises:
            BundleError: the file is not such a snapshot.
        """
        try:
            tensors = load_file(path)
            named = {
                name: PriceHistogram.from_bytes(tensor.tobytes())
                for name, tensor in tensors.items()
            }
            overall = named.pop(_OVERALL)
        except (OSError, SafetensorError, KeyError) as error:
            raise BundleError(f"{path} is not a snapshot of sold prices: {error}") from None
        return cls(
            currency,
            overall,
            {name.removeprefix(_CATEGORY): histogram for name, histogram in named.items()},
        )
