"""Bins of about as many items each."""

import numpy as np
import numpy.typing as npt


def equal_count_bins(values: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.int64]:
    """Return the bin of each of N values, `[N]`, 0 for the lowest.

    No bin is empty. Values that are the same share a bin, so bins may be fewer than `bins` and
    differ in size.
    """
    edges = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1], method="lower")
    _, bin_of = np.unique(np.searchsorted(edges, values), return_inverse=True)
    return bin_of.astype(np.int64)
