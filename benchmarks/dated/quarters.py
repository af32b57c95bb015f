"""Errors by the quarter of the calendar."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from models.gate.answers import Floats


def quarter(moment: datetime) -> str:
    """Return the quarter of a moment, such as `2018-Q3`."""
    return f"{moment.year}-Q{(moment.month + 2) // 3}"


def mean_by_quarter(errors: Floats, quarters: npt.NDArray[np.str_]) -> dict[str, float]:
    """Return the mean of the errors `[N]` of each quarter, in the order of time."""
    return {
        str(name): round(float(errors[quarters == name].mean()), 4) for name in np.unique(quarters)
    }


def quarters_of(moments: Sequence[datetime]) -> npt.NDArray[np.str_]:
    """Return the quarter of each moment, `[N]`."""
    return np.array([quarter(moment) for moment in moments])
