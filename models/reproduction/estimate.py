"""How long the rest of a grid will take."""

import statistics
from collections.abc import Sequence

from models.reproduction.grid import Cell


def seconds_left(left: Sequence[Cell], took: Sequence[tuple[Cell, float]], jobs: int) -> float:
    """Estimate the time of the cells that are left from those that are done.

    Args:
        left: not done yet.
        took: what is done, one at least, and the seconds of each.
        jobs: cells that are trained at a time.
    """
    by_method: dict[str, list[float]] = {}
    for cell, seconds in took:
        by_method.setdefault(cell.setting.method, []).append(seconds)
    of_all = [seconds for _, seconds in took]
    means = [statistics.fmean(by_method.get(cell.setting.method, of_all)) for cell in left]
    return sum(means) / max(1, min(jobs, len(left)))
