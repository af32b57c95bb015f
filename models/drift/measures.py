"""The two measures of drift, for numbers and for names.

PSI, the population stability index (the symmetrised Kullback-Leibler divergence over bins), tells
how much has moved: under 0.1 is usual, over 0.2 is a change to act upon (Siddiqi, "Credit Risk
Scorecards", 2006). KS, the two-sample test of Kolmogorov and Smirnov, tells whether chance does it.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]

BINS = 10
_ODDS = 1e-3  # of a false alarm among all columns that are looked at
_HALF = 0.5  # of an observation in each bin: an empty one is rare, not impossible


@dataclass(frozen=True, slots=True)
class Drift:
    """How far one column has moved.

    Attributes:
        psi: 0 where nothing has.
        by_chance: the PSI to be expected of samples of these sizes if nothing has.
        ks: largest distance of the two distribution functions, 0 to 1; None for names.
        p_value: of it, or of the share that is not known if that is smaller; None for names.
    """

    psi: float
    by_chance: float
    ks: float | None = None
    p_value: float | None = None

    def beyond(self, limit: float, columns: int) -> bool:
        """Tell whether it is more than a limit of the PSI, and not by chance.

        Args:
            limit: of the PSI.
            columns: how many are looked at (Bonferroni).
        """
        sure = self.p_value is None or self.p_value < _ODDS / max(1, columns)
        return self.psi - self.by_chance > limit and sure


def drift_of_numbers(reference: Floats, current: Floats) -> Drift:
    """Compare two samples `[N]` and `[M]` of numbers; NaN is a value of its own.

    Bins hold equal shares of the reference.

    Raises:
        ValueError: one of them is empty.
    """
    _check(len(reference), len(current))
    known = reference[np.isfinite(reference)]
    edges = _edges(known) if len(known) else known
    bins = len(edges) + 2  # and one for what is not known

    def counts(values: Floats) -> Floats:
        # a value on an edge lies in the upper bin
        places = np.searchsorted(edges, values, side="right")
        places[~np.isfinite(values)] = bins - 1
        return np.bincount(places, minlength=bins).astype(np.float64)

    psi, by_chance = _psi(counts(reference), counts(current))
    before, now = reference[np.isfinite(reference)], current[np.isfinite(current)]
    if not len(before) or not len(now):
        return Drift(psi, by_chance, 0.0, 1.0 if len(before) == len(now) else 0.0)
    few = min(len(before), len(now)) < 20
    found = stats.ks_2samp(before, now, method="exact" if few else "asymp")
    table = [[len(before), len(reference) - len(before)], [len(now), len(current) - len(now)]]
    p_value = min(found.pvalue, stats.fisher_exact(table).pvalue)
    return Drift(psi, by_chance, float(found.statistic), float(p_value))


def _edges(reference: Floats) -> Floats:
    """Return where bins begin: at the tenths, with a bin of its own for a value that fills one."""
    tenths, counts = np.unique(
        np.quantile(reference, np.arange(1, BINS) / BINS, method="lower"), return_counts=True
    )
    filled = tenths[counts > 1]
    return np.union1d(tenths, np.nextafter(filled, np.inf))


def drift_of_names(reference: Sequence[Hashable], current: Sequence[Hashable]) -> Drift:
    """Compare two samples of names, such as categories.

    Raises:
        ValueError: one of them is empty.
    """
    _check(len(reference), len(current))
    before, now = Counter(reference), Counter(current)
    names = sorted({*before, *now}, key=repr)
    psi, by_chance = _psi(
        np.array([before[name] for name in names], np.float64),
        np.array([now[name] for name in names], np.float64),
    )
    return Drift(psi, by_chance)


def _psi(reference: Floats, current: Floats) -> tuple[float, float]:
    """Return the PSI of two rows of counts, and its expectation if both are of one law.

    That is (bins - 1) (1 / N + 1 / M): twice the PSI times the harmonic size is chi-square
    distributed in the limit (Yurdakul, "Statistical properties of population stability index",
    2018).
    """
    used = (reference + current) > 0
    reference, current = reference[used], current[used]
    sizes = reference.sum(), current.sum()
    before = (reference + _HALF) / (sizes[0] + _HALF * len(reference))
    now = (current + _HALF) / (sizes[1] + _HALF * len(current))
    psi = float(((now - before) * np.log(now / before)).sum())
    return psi, float((len(reference) - 1) * (1 / sizes[0] + 1 / sizes[1]))


def _check(reference: int, current: int) -> None:
    if not reference or not current:
        raise ValueError(f"{reference} reference values and {current} new ones: nothing to compare")
