"""The operating threshold of the gate: where a score is high enough to suggest a price."""

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]


def quantile_threshold(scores: Scores, delta: float) -> float:
    """Return the score that `delta` of the scores `[N]` reach: their (1 - delta) quantile.

    Refused beforehand is minus infinity. Where more are than `1 - delta` allows, every other
    one is accepted.
    """
    finite = np.sort(scores[np.isfinite(scores)])[::-1]
    wanted = min(len(finite), max(1, round(delta * len(scores))))
    return float(finite[wanted - 1]) if len(finite) else 0.0
