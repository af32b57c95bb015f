"""Image features as a few columns: a thousand of them, each a little off, say one thing."""

import numpy as np
import numpy.typing as npt

from models.drift.measures import Floats

COMPONENTS = 8


def principal_components(
    reference: npt.NDArray[np.float32], current: npt.NDArray[np.float32]
) -> tuple[Floats, Floats]:
    """Return both samples `[N, D]`, `[M, D]` along the main directions of the reference.

    Returns:
        `[N, C]` and `[M, C]`, C at most `COMPONENTS`, in standard deviations of the reference
        (Jolliffe, "Principal Component Analysis", 2002, section 6.1.1).
    """
    mean = reference.mean(axis=0, dtype=np.float64)
    centred = reference - mean
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    used = sizes[:COMPONENTS] > 1e-6 * max(1.0, float(sizes.max(initial=0.0)))
    kept = directions[:COMPONENTS][used]
    scale = sizes[:COMPONENTS][used] / np.sqrt(max(1, len(reference) - 1))
    return (centred @ kept.T) / scale, ((current - mean) @ kept.T) / scale
