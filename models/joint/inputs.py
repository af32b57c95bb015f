"""The columns that both networks read: image features, statistics, levels of the category path.

No torch here: serving makes its rows with the same code as training.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from schemas.dataset import CATEGORY_SEPARATOR
from schemas.statistics import Statistics
from stats_store.features import STATISTICS_WIDTH, feature_vector

Rows = npt.NDArray[np.float32]

# A level with fewer listings says more about those listings than about the level.
MIN_LISTINGS_PER_LEVEL = 5


def category_levels(category: str | None) -> list[str]:
    """Return the levels of a path as paths, the widest first: `A`, `A > B`, `A > B > C`."""
    if not category:
        return []
    parts = category.split(CATEGORY_SEPARATOR)
    return [CATEGORY_SEPARATOR.join(parts[: depth + 1]) for depth in range(len(parts))]


def category_vocabulary(
    categories: Iterable[str | None], *, min_listings: int = MIN_LISTINGS_PER_LEVEL
) -> tuple[str, ...]:
    """Return the levels that occur in at least `min_listings` of the categories, sorted.

    They are columns beside the statistics of the exact category: those are thin in a category
    of ten sales, and a level above it is known from hundreds.
    """
    counts = Counter(level for category in categories for level in category_levels(category))
    return tuple(sorted(level for level, count in counts.items() if count >= min_listings))


def input_rows(
    features: Rows,
    statistics: Sequence[Statistics],
    categories: Sequence[str | None],
    vocabulary: Sequence[str],
) -> Rows:
    """Return the raw input `[N, D + 16 + V]`.

    Args:
        features: `[N, D]` image features.
        statistics: `[N]`.
        categories: `[N]` category paths; None gives NaN in all V columns: not known.
        vocabulary: `[V]` levels; a column is 1 where the category lies in its level, else 0.
    """
    count = len(features)
    rows = np.empty((count, features.shape[1] + STATISTICS_WIDTH + len(vocabulary)), np.float32)
    rows[:, : features.shape[1]] = features
    column = {level: index for index, level in enumerate(vocabulary)}
    for row, of_listing, category in zip(rows, statistics, categories, strict=True):
        tail = row[features.shape[1] :]
        tail[:STATISTICS_WIDTH] = feature_vector(of_listing)
        tail[STATISTICS_WIDTH:] = 0.0 if category else np.nan
        for level in category_levels(category):
            if level in column:
                tail[STATISTICS_WIDTH + column[level]] = 1.0
    return rows
