"""Whether a confidence means what it says: of those at 70 %, do 70 % come true?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.joint.bins import equal_count_bins

BINS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """The reliability curve: B bins of confidences from low to high, none of them empty.

    Attributes:
        confidence: `[B]` mean confidence of the items in a bin.
        frequency: `[B]` share of them that came true.
        count: `[B]` how many they are.
        error: expected calibration error, the mean of |frequency - confidence| over the items.
            Chance alone makes it about 0.8 sqrt(p (1 - p) bins / N).
    """

    confidence: npt.NDArray[np.float64]
    frequency: npt.NDArray[np.float64]
    count: npt.NDArray[np.int64]
    error: float


def reliability(confidence: npt.ArrayLike, hit: npt.ArrayLike, bins: int = BINS) -> Reliability:
    """Return the reliability curve of confidences `[N]` and what came true `[N]`.

    Bins hold about as many items each, and items of one confidence share a bin; so there may be
    fewer than `bins`. Bins of equal width would leave most of them to a handful of items.

    Raises:
        ValueError: there is no item, the lengths differ, or a confidence is not in 0..1.
    """
    claimed = np.asarray(confidence, dtype=np.float64)
    true = np.asarray(hit, dtype=np.bool_)
    if not len(claimed) or claimed.shape != true.shape:
        raise ValueError(f"{claimed.shape} confidences and {true.shape} hits make no curve")
    if not ((claimed >= 0) & (claimed <= 1)).all():
        raise ValueError("a confidence is not in 0..1")
    group = equal_count_bins(claimed, bins)
    count = np.bincount(group)
    mean = np.bincount(group, weights=claimed) / count
    frequency = np.bincount(group, weights=true) / count
    return Reliability(
        confidence=mean,
        frequency=frequency,
        count=count,
        error=float((np.abs(frequency - mean) * count).sum() / count.sum()),
    )
