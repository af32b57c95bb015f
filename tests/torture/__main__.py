"""`python -m tests.torture --kills 200 --seed 7`: the stats worker, tortured on a real broker.

The last line on stdout is one JSON object; exit code 1 when anything is lost, double or unequal,
and then the folder with the evidence is kept and named on stderr. The same seed plans the same
faults and publishes the same stream; at which record a fault strikes is up to the machine.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.torture.cluster import Cluster
from tests.torture.plan import plan
from tests.torture.restarted_broker import RestartedBroker
from tests.torture.run import run

RATE = 120  # records a second: batches are small then, and steps are passed some ten times a second


def main() -> int:
    """Run, print the JSON object, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="processes killed with SIGKILL")
    parser.add_argument("--seed", type=int, default=7, help="of the faults and the stream")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--rate", type=int, default=RATE, help="records published a second")
    parser.add_argument(
        "--kill-broker",
        action="store_true",
        help="it goes by SIGKILL, too, not in order; a transaction may then hang in Kafka itself",
    )
    parser.add_argument("--out", type=Path, help="where the evidence is kept, whatever comes out")
    arguments = parser.parse_args()
    folder: Path = arguments.out or Path(tempfile.mkdtemp(prefix="torture-"))
    folder.mkdir(parents=True, exist_ok=True)
    faults = plan(kills=arguments.kills, seed=arguments.seed)
    console = Console(stderr=True)
    progress = Progress(
        SpinnerColumn(),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f} kills"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[published]:,} published  {task.description}"),
        console=console,
    )
    with RestartedBroker(folder / "broker", kill=arguments.kill_broker) as broker, progress:
        cluster = Cluster(broker.servers, prefix="torture.", partitions=arguments.partitions)
        cluster.create_topics()
        task = progress.add_task("starting", total=arguments.kills, published=0)

        def tell(what: str, *, kills: int, published: int) -> None:
            progress.update(task, description=what, completed=kills, published=published)

        result = run(
            faults,
            cluster=cluster,
            broker=broker,
            folder=folder,
            seed=arguments.seed,
            rate=arguments.rate,
            tell=tell,
        )
    good = result.pop("good")
    if not good:
        console.print(f"Something is wrong; the evidence is in {folder}", style="red")
    elif arguments.out is None:
        shutil.rmtree(folder)
    print(json.dumps(result))  # noqa: T201 - the result
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
