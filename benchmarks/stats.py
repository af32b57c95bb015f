"""The stats worker beside Kafka Streams, Quix Streams and Faust, which count the same sales.

One run on a real broker. Every peer has one partition, all threads on one core (the broker and
the rest have the other), state in RocksDB with a changelog, and exactly-once transactions (Faust:
at least once, and sellers alone: its best case). Ours has its full semantics on: validation of
the contract, memory of sales against duplicates, refunds, the order of two inputs. None of the
peers has any of that. What each has counted is compared with a plain recount, and the run fails
where it differs. How the peers were made: docs/decisions/0051-peers-of-the-stats-worker.md

    python benchmarks/stats.py [--only ours,streams,expert,quix,faust] [--sales N] [--repeats N]
    python benchmarks/stats.py --only ours --bad 0.01      a mix with bad input beside a clean one
    python benchmarks/stats.py --growth [--growth-to N]    only the cost with many sellers
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))  # for benchmarks.peers, run from anywhere

from benchmarks.peers.growth import Grown, cost_at
from benchmarks.peers.measure import Run, broker_processes, keep_to_the_other_core
from benchmarks.peers.runs import (
    Bench,
    run_faust,
    run_java,
    run_ours,
    run_quix,
    say,
)
from benchmarks.peers.sales import Sales
from workers.local.broker import LocalBroker

Runner = Callable[[Bench, int, int], Run]

PEERS: dict[str, tuple[str, str, Runner]] = {
    "streams": ("Kafka Streams, DSL", "times_kafka_streams", partial(run_java, topology="dsl")),
    "expert": (
        "Kafka Streams, Processor API",
        "times_kafka_streams_processor_api",
        partial(run_java, topology="expert"),
    ),
    "quix": ("Quix Streams", "times_quix", run_quix),
    "faust": ("Faust, sellers alone", "times_faust", run_faust),
}


def main() -> None:
    options = _arguments()
    core = keep_to_the_other_core()
    with tempfile.TemporaryDirectory() as folder, LocalBroker(say=say) as broker:
        bench = Bench(
            servers=broker.bootstrap_servers,
            folder=Path(folder),
            sales=Sales.draw(options.sales, sellers=options.sellers),
            core=core,
            broker=broker_processes(),
        )
        figures: dict[str, object] = {
            "sales": options.sales,
            "sellers": options.sellers,
            "cores": os.cpu_count(),
        }
        if not options.growth:
            figures |= _beside_peers(bench, options)
        if options.growth or "growth" in options.only:
            figures |= _growth(bench, options.growth_to)
    print(json.dumps(figures))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sales", type=int, default=500_000)
    parser.add_argument("--sellers", type=int, default=100_000)
    parser.add_argument("--quix-sales", type=int, default=40_000, help="it would take minutes")
    parser.add_argument("--faust-sales", type=int, default=20_000, help="as well")
    parser.add_argument("--only", default="ours,streams,expert,quix,faust,growth")
    parser.add_argument("--repeats", type=int, default=1, help="of each peer; medians are taken")
    parser.add_argument("--bad", type=float, default=0.0, help="share of bad records in a mix")
    parser.add_argument("--growth", action="store_true", help="only the cost with many sellers")
    parser.add_argument("--growth-to", type=_number, default=10_000_000, help="sellers, as 1e7")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - {"ours", "growth", *PEERS}:
        parser.error(f"--only takes ours, growth, {', '.join(PEERS)}; not {', '.join(unknown)}")
    return options


def _number(text: str) -> int:
    return int(float(text))


def _beside_peers(bench: Bench, options: argparse.Namespace) -> dict[str, object]:
    chosen = {name: PEERS[name] for name in PEERS if name in options.only}
    events = dict.fromkeys(chosen, options.sales) | {
        name: min(options.sales, limit)
        for name, limit in (("quix", options.quix_sales), ("faust", options.faust_sales))
        if name in chosen
    }
    ours: list[Run] = []
    mixed: list[Run] = []
    runs: dict[str, list[Run]] = {name: [] for name in chosen}
    for number in range(options.repeats):  # one after the other, so that all have the same noise
        if "ours" in options.only:
            ours.append(run_ours(bench, number, options.sales))
            say(_said(ours[-1]))
        if options.bad:
            mixed.append(run_ours(bench, 1_000 + number, options.sales, bad=options.bad))
            say(_said(mixed[-1]))
        for name, (_, _, runner) in chosen.items():
            runs[name].append(runner(bench, number, events[name]))
            say(_said(runs[name][-1]))
    _table([("secondsight", ours), ("secondsight, with bad input", mixed)])
    _table([(title, runs[name]) for name, (title, _, _) in chosen.items()], heading=False)
    figures: dict[str, object] = {}
    if ours:
        figures |= {
            "events_per_s": round(_per_s(ours)),
            "events_per_cpu_s": round(_per_cpu_s(ours)),
            "events_per_s_spread": [round(each.per_s) for each in ours],
            "peak_bytes": max(each.peak_bytes for each in ours),
        }
    for name, (_, times, _) in chosen.items():
        figures[f"{name}_per_s"] = round(_per_s(runs[name]))
        figures[f"{name}_warm_per_s"] = round(_warm_per_s(runs[name]))
        figures[f"{name}_per_cpu_s"] = round(_per_cpu_s(runs[name]))
        if ours:
            figures[times] = round(_per_s(ours) / _per_s(runs[name]), 2)
            figures[f"{times}_warm"] = round(_warm_per_s(ours) / _warm_per_s(runs[name]), 2)
            figures[f"{times}_by_cpu"] = round(_per_cpu_s(ours) / _per_cpu_s(runs[name]), 2)
    if mixed and ours:
        figures["bad_share"] = options.bad
        figures["rate_with_bad_input"] = round(_per_s(mixed) / _per_s(ours), 3)
        figures["cpu_rate_with_bad_input"] = round(_per_cpu_s(mixed) / _per_cpu_s(ours), 3)
    return figures


def _growth(bench: Bench, most: int) -> dict[str, object]:
    few = cost_at(bench, 10_000)
    many = cost_at(bench, most)
    print("\nsellers      us of CPU an event   peak MiB   MB on disk per million sellers")
    for grown in (few, many):
        print(
            f"{grown.sellers:>10,} {grown.cpu_us:>20.1f} {grown.peak_bytes / 2**20:>10.0f} "
            f"{_disk_mb(grown):>32.0f}"
        )
    exponent = len(str(most)) - 1
    name = f"1e{exponent}" if most == 10**exponent else str(most)
    return {
        f"cost_growth_1e4_to_{name}": round(many.cpu_us / few.cpu_us, 3),
        "disk_mb_per_million_sellers": round(_disk_mb(many)),
        "peak_bytes_with_most_sellers": many.peak_bytes,
        "restored_mb_per_s": round(many.restored_mb_per_s, 1),
        "restored_records_per_s": round(many.restored_records_per_s),
    }


def _disk_mb(grown: Grown) -> float:
    return grown.disk_bytes / grown.sellers


def _per_s(runs: list[Run]) -> float:
    return median(each.per_s for each in runs)


def _warm_per_s(runs: list[Run]) -> float:
    return median(each.per_s_second_half for each in runs)


def _per_cpu_s(runs: list[Run]) -> float:
    return median(each.per_cpu_s for each in runs)


def _said(run: Run) -> str:
    return f"... {run.per_s:,.0f} events a second"


def _table(rows: list[tuple[str, list[Run]]], *, heading: bool = True) -> None:
    if heading:
        print(
            f"{'':<30}{'events':>9}{'events/s':>10}{'least':>9}{'most':>9}{'2nd half':>10}"
            f"{'per CPU s':>11}{'broker us':>11}{'peak MiB':>10}"
        )
    for title, runs in rows:
        if runs:
            rates = [each.per_s for each in runs]
            print(
                f"{title:<30}{runs[0].events:>9,}{median(rates):>10,.0f}{min(rates):>9,.0f}"
                f"{max(rates):>9,.0f}{_warm_per_s(runs):>10,.0f}{_per_cpu_s(runs):>11,.0f}"
                f"{median(each.broker_us for each in runs):>11.1f}"
                f"{max(each.peak_bytes for each in runs) / 2**20:>10.0f}"
            )


if __name__ == "__main__":
    main()
