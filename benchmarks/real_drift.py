"""Real sales with dates: statistics of a window against all time, and retraining against never.

Reads the dated sales of dataset folders (`schemas/dataset.py` has the format). Each sale is priced
at the start of its day, with statistics of the days before from the real store, fed sale by sale.

1. The error (MALE: mean absolute error of log price) of taking the median of the sale's category,
   or of its seller who had sold before, for windows of 7, 30, 90 and 180 days and all time, over
   the whole and by quarter. `over_all_time` is the ratio of each to all time.
2. The real networks on statistics and category alone, without photos. The first learns from the
   first fifth of the time. Every `--every` days a challenger learns from the last 180 days by the
   code of `secondsight retrain` and meets the champion on the newest 15 % of the sales in the real
   gate. `retrained_over_never`: the error of the loop over that of the first model, kept. Once
   with statistics of 30 days and once of all time.

Where sellers are not known, each sale counts as of a seller of its own.

    python benchmarks/real_drift.py --dataset DIR [--dataset DIR] [--every DAYS] [--seed S]
"""

import argparse
import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for benchmarks.dated, run from anywhere

from benchmarks.dated.loop import Loop
from benchmarks.dated.medians import ALL_TIME, median_errors, window_name
from benchmarks.dated.sales import dated_sales, served
from models.errors import DatasetError, TrainingError

WINDOWS = (7, 30, 90, 180, ALL_TIME)
OF_LOOP = (30, ALL_TIME)


def of_dataset(folder: Path, every: timedelta, seed: int) -> dict[str, Any]:
    """Return the figures of a dataset.

    Raises:
        DatasetError: it cannot be read, has no sales, or too few for a first model.
        TrainingError: no first model came of it.
    """
    sales = dated_sales(folder)
    if not sales:
        raise DatasetError(f"{folder} has no sales")
    by_window = {}
    for window in WINDOWS:
        by_window[window] = served(sales, window)
        print(f"statistics of {window_name(window)} are there", file=sys.stderr)
    loops = {}
    for window in OF_LOOP:
        known = [each for each in by_window[window] if each.statistics.overall.count]
        loops[window_name(window)] = Loop(known, every=every, seed=seed).run()
    return {
        "from": str(sales[0].sold_at.date()),
        "to": str(sales[-1].sold_at.date()),
        **median_errors(by_window),
        "loop": loops,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", type=Path, action="append", required=True, metavar="DIR")
    parser.add_argument("--every", type=int, default=30, help="days between two retrainings")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.every < 1:
        parser.error("--every is at least 1 day")
    began = time.perf_counter()
    found: dict[str, Any] = {"seed": arguments.seed, "every_days": arguments.every}
    try:
        for folder in arguments.dataset:
            every = timedelta(days=arguments.every)
            found[folder.name] = of_dataset(folder, every, arguments.seed)
    except (DatasetError, TrainingError) as error:
        print(error, file=sys.stderr)
        return 3
    found["cores"] = len(os.sched_getaffinity(0))
    found["minutes"] = round((time.perf_counter() - began) / 60, 1)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
