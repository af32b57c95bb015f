"""The outcomes worker: events a second with many open suggestions, memory, kills and rebalances.

One run on a real broker; broker, worker and publisher share the cores of the machine. First so many
listings and their answers are published and taken in: they stay open. Then a mix is published at
once (a third listings, their answers, and sales of older ones), and the committed offsets are
watched: events a second from the first commit of the mix to the last. Beside it a bare loop on the
same client (aiokafka) reads the same records, parses them, writes one record for each and commits.
The worker is killed at random moments, now and then with another disk after it, and other workers
join and leave; in the end every sale must be scored once by id, and scores and examples must be
those of a plain recount.

    python benchmarks/outcomes.py [--open N] [--events N] [--kills 30] [--rebalances 10]
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for benchmarks.scoring, run from anywhere

from benchmarks.peers.measure import peak_bytes, stop
from benchmarks.peers.runs import say
from benchmarks.scoring.bare import bare_per_s
from benchmarks.scoring.market import Market
from benchmarks.scoring.strikes import strike
from benchmarks.scoring.system import System
from schemas.topics import LISTING_ENRICHED, PRICE_SUGGESTED, SUGGESTION_SCORED, TRANSACTIONS
from workers.local.broker import LocalBroker


def main() -> None:
    options = _arguments()
    figures: dict[str, object] = {"cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder, LocalBroker(say=say) as broker:
        if options.events:
            figures |= _throughput(broker.bootstrap_servers, Path(folder) / "rate", options)
        if options.kills or options.rebalances:
            figures |= _strikes(broker.bootstrap_servers, Path(folder) / "strikes", options)
    print(json.dumps(figures))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--open", type=int, default=100_000, help="suggestions that stay open")
    parser.add_argument("--events", type=int, default=90_000, help="of the mix; 0: none of this")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--rebalances", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _throughput(servers: str, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    system = System(servers, "rate.", folder)
    market = Market(options.seed)
    say(f"publishing {options.open:,} listings with their answers")
    count = market.publish(servers, system.prefix, market.listings(options.open))
    try:
        worker = system.start()
        looks = system.wait_until(market, count, worker)
        filling = _per_s(looks, 0)
        say(f"{options.open:,} open suggestions, taken in at {filling:,.0f} events a second")
        mix = market.publish(servers, system.prefix, market.mixed(options.events))
        looks = system.wait_until(market, count + mix, worker)
        rate = _per_s(looks, count)
        peak = peak_bytes(worker.pid)
        stop(worker)
    finally:
        system.kill_all()
    say(f"the mix at {rate:,.0f} events a second, {peak / 2**20:,.0f} MiB at most")
    verdict = system.verdict(market)
    topics = [system.prefix + each for each in (LISTING_ENRICHED, PRICE_SUGGESTED, TRANSACTIONS)]
    bare = bare_per_s(servers, topics, f"{system.prefix}{SUGGESTION_SCORED}", mix)
    return {
        "open": options.open,
        "events": mix,
        "events_per_s": round(rate),
        "filling_per_s": round(filling),
        "bare_per_s": round(bare),
        "share_of_bare": round(rate / bare, 3),
        "peak_mb": round(peak / 2**20),
        **_named("", verdict),
    }


def _strikes(servers: str, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    system = System(servers, "strikes.", folder)
    market = Market(options.seed + 1)
    began = time.monotonic()
    try:
        amid = strike(system, market, kills=options.kills, rebalances=options.rebalances)
    finally:
        system.kill_all()
    return {
        "kills": options.kills,
        "kills_amid_work": amid,
        "rebalances": options.rebalances,
        "strikes_s": round(time.monotonic() - began),
        **_named("struck_", system.verdict(market)),
    }


def _named(prefix: str, verdict: object) -> dict[str, object]:
    return {
        prefix + name: value
        for name, value in dataclasses.asdict(verdict).items()  # type: ignore[call-overload]
    }


def _per_s(looks: list[tuple[float, int]], before: int) -> float:
    """Return the rate from the first look behind `before` to the last."""
    began, first = next(look for look in looks if look[1] > before)
    ended, last = looks[-1]
    if last == first:
        raise SystemExit(f"all {last - before:,} events were committed at once; give more")
    return (last - first) / (ended - began)


if __name__ == "__main__":
    main()
