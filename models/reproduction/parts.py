"""Table 1: listings by class and part."""

from collections import Counter

import numpy as np

from models.joint.inputs import category_levels
from models.reproduction.figure import Figure, Kind
from models.reproduction.table import Table
from models.training_data import TrainingData


def parts_table(data: TrainingData) -> Table:
    """Return how many listings of each class, the top level of the category, are in each part."""
    split = data.split
    parts = {"training": split.train, "validation": split.validation, "test": split.test}
    of_parts = [Counter(_class(data, item) for item in items) for items in parts.values()]
    counts = {
        name: [of_part[name] for of_part in of_parts] for name in sorted(set().union(*of_parts))
    }
    counts["total"] = [len(items) for items in parts.values()]
    measured = int(np.isfinite(data.log_prices[split.test]).sum())
    counts["of these, sound photo and rational price"] = [
        *(len(data.train), len(data.validation), measured)
    ]
    rows = [
        (name, [Figure(Kind.COUNT, (float(count),)) for count in of_name])
        for name, of_name in counts.items()
    ]
    return Table(
        number=1,
        title="Listings by class and part",
        header=("class", *parts),
        rows=rows,
    )


def _class(data: TrainingData, item: int) -> str:
    levels = category_levels(data.listings[item].category)
    return levels[0] if levels else "(not known)"
