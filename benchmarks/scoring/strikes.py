"""The worker killed and its group rebalanced again and again while events wait."""

import random
import time

from benchmarks.peers.measure import stop
from benchmarks.peers.runs import say
from benchmarks.scoring.market import Market
from benchmarks.scoring.system import System

CHUNK = 4_500  # events that wait at every strike
REFUNDED = 50  # sales among them of which half are taken back
LIFE_S = 1.5, 6.5  # a start takes three to five: some strikes hit it


def strike(system: System, market: Market, *, kills: int, rebalances: int) -> int:
    """Strike, then let one worker finish; what came of it is the system's verdict.

    Returns:
        How many of the kills hit a worker between its first commit and its last.

    Raises:
        SystemExit: a worker ended by itself.
    """
    moments = random.Random(market.seed)
    published = amid = 0

    def publish() -> None:
        nonlocal published
        published += market.publish(system.servers, system.prefix, market.mixed(CHUNK))
        refunds = market.sales(REFUNDED, taken_back=0.5)
        published += market.publish(system.servers, system.prefix, refunds)

    # The sales that are taken back are of these; those of the mix bring their own listings.
    spare = (kills + 2 * rebalances) * REFUNDED
    published += market.publish(system.servers, system.prefix, market.listings(spare))
    for number in range(kills):
        publish()
        before = system.committed(market)
        worker = system.start("one" if number % 3 else "other")  # now and then another disk
        time.sleep(moments.uniform(*LIFE_S))
        if worker.poll() is not None:
            raise SystemExit(f"the worker ended by itself with {worker.returncode}")
        worker.kill()
        worker.wait()
        done = system.committed(market)
        amid += before < done < published
        say(f"killed {number + 1} times, {done:,} of {published:,} committed")
    worker = system.start("one")
    for number in range(rebalances):
        publish()
        second = system.start("two" if number % 2 else "three")
        time.sleep(moments.uniform(3.0, 8.0))
        for process in (worker, second):
            if process.poll() is not None:
                raise SystemExit(f"a worker ended by itself with {process.returncode}")
        publish()
        if number % 2:
            stop(second)
        else:
            second.kill()
            second.wait()
        say(f"rebalanced {number + 1} times, {system.committed(market):,} of {published:,}")
    system.wait_until(market, published, worker)
    stop(worker)
    return amid
