"""The suggest worker: throughput, latency, memory and start, and what SIGKILL does to it.

One run on a real broker, on all cores, which the broker and the web server of the photos share;
the image networks run on a GPU if there is one.
Photos are JPEGs of 640 x 480; a small bundle is trained on simulated ones, or --bundle is used.

- throughput: listings a second from Kafka and HTTP to committed answers, over the bare forward
  pass of the same model, which is measured before and after, since a machine's speed drifts.
  The same by processor time, which other programs on the machine disturb less.
- plain: the same beside a worker as most people would write it (suggesting/plain_worker.py),
  which has to give the same answers; on a GPU, which rounds to bfloat16, it would not.
- latency: from `listing.created` through the stats and the suggest worker to the answer, at half
  of that throughput (or --load).
- memory: resident bytes over --memory-listings, and by how much they grow with them.
- start: from the start of the process to the first answer, where listings wait.
- swap: another model is announced at half of that throughput (or --load); how much longer a
  listing takes at worst.
- kills: SIGKILL at random moments, --kills times, and what a reader of committed records sees.

    python benchmarks/serving.py [--part PART]... [--rounds N] [--bundle DIR]
    python benchmarks/serving.py --part throughput --device cuda [--bundle DIR]
    python benchmarks/serving.py --part memory --memory-listings 20000
    python benchmarks/serving.py --part kills --kills 50
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))  # for its other modules, run from anywhere

from benchmarks.peers.runs import say
from benchmarks.suggesting.first_answer import first_answer_s
from benchmarks.suggesting.kills import kill
from benchmarks.suggesting.latency import latency
from benchmarks.suggesting.memory import memory
from benchmarks.suggesting.rounds import Figures, Round, figures_of
from benchmarks.suggesting.scene import Scene, scene
from benchmarks.suggesting.swap import swap
from benchmarks.suggesting.throughput import run_forward, run_ours, run_plain
from workers.local.broker import LocalBroker

PARTS = ("throughput", "plain", "latency", "swap", "memory", "start", "kills")


def main() -> None:
    options = _arguments()
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalBroker(say=say) as broker,
        scene(
            broker.bootstrap_servers,
            Path(folder),
            listings=options.market,
            bundle=options.bundle,
            device=options.device,
        ) as surroundings,
    ):
        figures = _measure(surroundings, options)
    for name, value in figures.items():
        print(f"{name:<28}{value:>12}")
    print(json.dumps(figures))
    if figures.get("lost") or figures.get("doubled"):
        raise SystemExit("listings were lost or answered twice")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="all by default")
    parser.add_argument("--bundle", type=Path, help="of lite2; one is trained by default")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--market", type=int, default=400, help="listings to train and serve")
    parser.add_argument("--listings", type=int, default=500, help="of a round of throughput")
    parser.add_argument("--rounds", type=int, default=3, help="of throughput; medians are taken")
    parser.add_argument(
        "--plain-listings", type=int, default=60, help="of a round: they take far longer"
    )
    parser.add_argument("--load", type=float, help="listings a second of latency and swap")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of latency; half of it before a swap"
    )
    parser.add_argument("--memory-listings", type=int, default=2_000)
    parser.add_argument("--starts", type=int, default=3, help="of which the median is taken")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1, help="of arrivals and of kills")
    options = parser.parse_args()
    options.part = options.part or PARTS
    return options


def _measure(scene: Scene, options: argparse.Namespace) -> Figures:
    figures: Figures = {"device": _device(scene), "cores": len(os.sched_getaffinity(0))}
    parts = set(options.part)
    loaded = parts & {"latency", "swap"}
    if parts & {"throughput", "plain"} or (loaded and options.load is None):
        figures |= _throughput(scene, options)
    load = options.load or float(figures.get("listings_per_s", 0)) / 2
    if "latency" in parts:
        times = latency(scene, per_s=load, seconds=options.seconds, seed=options.seed)
        figures |= {
            "half_load_per_s": round(times.per_s, 1),
            "half_load_listings": times.listings,
            "p50_s_half_load": round(times.p50_s, 4),
            "p99_s_half_load": round(times.p99_s, 4),
        }
    if "swap" in parts:
        swapped = swap(scene, per_s=load, steady_s=options.seconds / 2, seed=options.seed)
        figures |= {
            "swap_took_s": round(swapped.took_s, 2),
            "worst_s_before_swap": round(swapped.worst_before_s, 3),
            "worst_s_during_swap": round(swapped.worst_during_s, 3),
            "swap_stall_s": round(swapped.stall_s, 3),
        }
    if "start" in parts:
        seconds = [first_answer_s(scene, f"start-{n}.") for n in range(options.starts)]
        figures |= {"start_to_first_answer_s": round(median(seconds), 2)}
    if "memory" in parts:
        found = memory(scene, options.memory_listings)
        figures |= {
            "memory_listings": options.memory_listings,
            "peak_mb": round(found.peak_mb, 1),
            "mb_per_1000_listings": round(found.mb_per_1000_listings, 3),
        }
    if "kills" in parts:
        killed = kill(scene, options.kills, seed=options.seed)
        figures |= {
            "kills": killed.kills,
            "kills_while_answering": killed.working,
            "kills_listings": killed.listings,
            "lost": killed.lost,
            "doubled": killed.doubled,
        }
    return figures


def _device(scene: Scene) -> str:
    if scene.pricer.device == "cpu":
        return "cpu"
    import torch  # only now: it takes memory

    return f"{torch.cuda.get_device_name(scene.pricer.device)}, {scene.pricer.precision}"


def _throughput(scene: Scene, options: argparse.Namespace) -> Figures:
    """Measure in rounds, in each the forward pass before and after: the machine's speed drifts."""
    rounds = []
    for number in range(options.rounds):
        prefix = f"throughput-{number}."
        before = run_forward(scene)
        ours = run_ours(scene, prefix, options.listings)
        after = run_forward(scene)
        plain = None
        say(f"... {ours.per_s:.1f} a second; forward {before.per_s:.1f} and {after.per_s:.1f}")
        if "plain" in options.part:
            plain = run_plain(scene, prefix, options.plain_listings)
            say(f"... {plain.per_s:.1f} a second")
        rounds.append(Round(ours, before, after, plain))
    return figures_of(rounds)


if __name__ == "__main__":
    main()
