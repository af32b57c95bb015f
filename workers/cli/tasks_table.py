"""What the extractors' tasks came to as lines for people."""

from collections.abc import Mapping
from typing import Any


def tasks_table(tasks: Mapping[str, Any]) -> list[str]:
    """Return a line for each task of the extractors, with its measures on the test part."""
    return [f"{name:>14} extractor: {_task(found)}" for name, found in tasks.items()]


def _task(found: Mapping[str, Any]) -> str:
    if "skipped" in found:
        return f"left out, {found['skipped']}"
    line = f"{found['labelled']} labelled listings"
    if "entropy" in found:
        line += f", {found['classes']} classes, the largest {found['largest']:.1%}"
    measures = {"top_1": "top-1", "top_5": "top-5", "map": "mAP", "rmse": "RMSE", "r2": "R2"}
    measured = [f"{measures[k]} {v:.3f}" for k, v in found["test"].items() if k in measures]
    return "; ".join((line, *measured))
