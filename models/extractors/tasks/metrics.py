"""How well a trained task does, over the listings that say what is true."""

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue
from sklearn.metrics import average_precision_score

from models.extractors.tasks.labels import Labels, Task, known_entries

Outputs = npt.NDArray[np.float32]


def task_metrics(
    labels: Labels, outputs: Outputs, items: npt.NDArray[np.int64]
) -> dict[str, float]:
    """Measure a task.

    Args:
        labels: of all listings.
        outputs: `[M, K]` what the network says of listings.
        items: `[M]` which listings; those without a label are passed over.

    Returns:
        `listings` that have a label, and if there are any: for one class of several, the shares
        `top_1` and `top_5` whose label is the highest output and among the five highest (a tie
        counts as a hit of neither); for yes-or-no questions, the mean average precision `map` over
        the `scored` classes that have both answers; for the price, the root mean squared error
        `rmse` and the explained share `r2`.
    """
    known = labels.known[items]
    outputs, targets = outputs[known], labels.targets[items][known]
    found = {"listings": float(len(targets))}
    if not len(targets):
        return found
    if labels.task is Task.PRICE:
        errors = targets - outputs[:, 0]
        spread = float(targets.var())
        found["rmse"] = float(np.sqrt((errors**2).mean()))
        return found | ({"r2": 1 - float((errors**2).mean()) / spread} if spread else {})
    if targets.ndim == 1:
        of_label = outputs[np.arange(len(targets)), targets][:, None]
        others_as_high = (outputs >= of_label).sum(axis=1) - 1
        found["top_1"] = float((others_as_high < 1).mean())
        found["top_5"] = float((others_as_high < 5).mean())
        return found
    precisions = []
    for column in range(targets.shape[1]):
        given = known_entries(targets[:, column])
        truth = targets[given, column]
        if truth.size and truth.min() != truth.max():
            precisions.append(average_precision_score(truth, outputs[given, column]))
    found["scored"] = float(len(precisions))
    return found | ({"map": float(np.mean(precisions))} if precisions else {})


def headline(metrics: dict[str, float]) -> float | None:
    """Return the number that says which of two networks is better (more is), if there is one."""
    for name in ("top_1", "map"):
        if name in metrics:
            return metrics[name]
    return -metrics["rmse"] if "rmse" in metrics else None


def rounded(metrics: dict[str, float]) -> dict[str, JsonValue]:
    """Return the measures as they are kept: counts as integers, the others to four digits."""
    return {
        name: int(value) if name in ("listings", "scored") else round(value, 4)
        for name, value in metrics.items()
    }
