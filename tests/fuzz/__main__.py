"""`python -m tests.fuzz --inputs 20000 --seed 1`: mutated photos and events against serving.

The last line on stdout is one JSON object; `kinds` gives, for each kind, how many inputs were run
and how many of them were read rather than refused. An input that ends in anything but a result or
the error for it (another exception, a hang, the death of the process, memory above the bound) is
a crash: it is saved to a folder named on stderr, and the exit code is 1. The same seed gives the
same inputs; `--only N` runs one of them again.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.fuzz.inputs import make_input
from tests.fuzz.run import MEMORY_MB, Result, run


def main() -> int:
    """Run, print the JSON object, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="N", help="run only the input of this number")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="where crashes are saved; a new folder by default")
    arguments = parser.parse_args()
    only: int | None = arguments.only
    numbers = range(arguments.inputs) if only is None else range(only, only + 1)
    console = Console(stderr=True)
    began = time.monotonic()
    with Progress(
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} inputs"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=console,
    ) as progress:
        task = progress.add_task("", total=len(numbers))

        def tell(result: Result) -> None:
            told = f"{len(result.crashes)} crashes, peak {result.peak_mb:.0f} MB"
            progress.update(task, completed=result.inputs, description=told)

        result = run(seed=arguments.seed, numbers=numbers, tell=tell, processes=arguments.processes)
    if result.crashes:
        folder: Path = arguments.out or Path(tempfile.mkdtemp(prefix="fuzz-"))
        folder.mkdir(parents=True, exist_ok=True)
        for number, crash in sorted(result.crashes.items()):
            saved = make_input(arguments.seed, number).save(folder)
            saved.with_name(f"{saved.name}.txt").write_text(crash)
            console.print(f"{saved.name}: {crash.strip().splitlines()[-1]}", markup=False)
        console.print(f"{len(result.crashes)} crashes, saved in {folder}", style="red")
    elif only is not None:
        read = sum(result.read.values())
        console.print(f"Input {only} was {'read' if read else 'refused'}; no crash.")
    shown = result.shown() | {
        "bound_mb": MEMORY_MB,
        "seconds": round(time.monotonic() - began, 1),
        "seed": arguments.seed,
    }
    print(json.dumps(shown))  # noqa: T201 - the result
    return 1 if result.crashes else 0


if __name__ == "__main__":
    sys.exit(main())
