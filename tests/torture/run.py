"""One run: a stream goes on, the planned faults strike, and then everything is recounted."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from confluent_kafka import KafkaException

from tests.torture.cluster import Cluster, last_offsets
from tests.torture.crew import Crew, TortureError
from tests.torture.plan import BASE, Fault
from tests.torture.publisher import Publisher
from tests.torture.recount import Recount, recount
from tests.torture.stream import Stream
from tests.torture.strikes import Restartable, Striker
from tests.torture.verdict import (
    CHANGELOG,
    DEAD_LETTERS,
    ENRICHED,
    INPUTS,
    PARTIALS,
    Verdict,
    judge,
    wrong_parts,
)

DRAIN_S = 300.0
SETTINGS = {
    # The least that a broker grants by default; those that are expelled are back sooner.
    "SECONDSIGHT_SESSION_TIMEOUT_MS": "6000",
    # Above what a coordinator takes to abort a transaction (5 s, and it looks every 10 s).
    "SECONDSIGHT_MAX_POLL_INTERVAL_MS": "20000",
    "SECONDSIGHT_TRANSACTION_TIMEOUT_MS": "5000",
    "SECONDSIGHT_BATCH_MAX_RECORDS": "50",  # many transactions, each a chance to die
    "SECONDSIGHT_PARTIALS_INTERVAL_MS": "200",
    "SECONDSIGHT_LOG_FORMAT": "json",
    "OMP_NUM_THREADS": "1",
}


class Told(Protocol):
    """Whoever shows how far a run is."""

    def __call__(self, what: str, *, kills: int, published: int) -> None:
        """Say what is being done now."""


def run(
    faults: Sequence[Fault],
    *,
    cluster: Cluster,
    broker: Restartable | None,
    folder: Path,
    seed: int,
    rate: int,
    tell: Told,
) -> dict[str, Any]:
    """Do the faults, recount, and return what came of it, JSON's types only.

    Args:
        faults: the plan.
        cluster: with topics that are there and empty.
        broker: what is restarted where the plan says so.
        folder: for logs and stores, and what was wrong.
        seed: of the stream.
        rate: records published a second.
        tell: told of every step.
    """
    began = time.monotonic()
    crew = Crew(settings_for(cluster), folder, instances=BASE)
    striker = Striker(crew, cluster, broker)
    stream = Stream(seed, cluster.partitions)
    publisher = Publisher(cluster.servers, prefix=cluster.prefix, stream=stream, rate=rate)
    folder.joinpath("plan.json").write_text(
        json.dumps([asdict(fault) for fault in faults], indent=1)
    )

    def say(what: str) -> None:
        tell(what, kills=striker.killed.total(), published=publisher.published)

    verdict = Verdict()
    try:
        for name in BASE:
            crew.start(name)
        publisher.start()
        for fault in faults:
            say(str(fault))
            try:
                striker.strike(fault)
            except TortureError as error:
                # One thing is wrong; the rest of the run may tell more.
                verdict.problems.append(f"{fault}: {error}")
                striker.start_over()
        striker.settle()
        say("publishing the rest")
        publisher.finish()
        say("waiting until all is counted")
        expected = drained(crew, cluster)
        say("waiting until all parts are published")
        await_parts(crew, cluster, expected)
        crew.stop()
        say("comparing")
        found = compare(crew, cluster, expected)
        found.problems = verdict.problems + found.problems
        verdict = found
    except TortureError as error:
        verdict.differs(str(error))
    finally:
        crew.end()
    result = {
        "kills": striker.killed.total(),
        "lost": verdict.lost,
        "double": verdict.double,
        "state_equal": verdict.state_equal,
        "seconds": round(time.monotonic() - began, 1),
        "seed": seed,
        "good": verdict.good,
        "killed": dict(striker.killed.most_common()),
        "step_missed": dict(striker.missed),
        "other_faults": dict(striker.others),
        "ended_by_themselves": dict(crew.ended.most_common()),
        "warnings": dict(crew.warnings().most_common(8)),
        "published": publisher.published,
        "compared": dict(verdict.counted),
        "problems": len(verdict.problems),
    }
    folder.joinpath("verdict.json").write_text(
        json.dumps({**result, "problems": verdict.problems}, indent=1)
    )
    return result


def settings_for(cluster: Cluster) -> dict[str, str]:
    """Return the environment of workers on a cluster."""
    return {
        **SETTINGS,
        "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": cluster.servers,
        "SECONDSIGHT_TOPIC_PREFIX": cluster.prefix,
    }


def drained(crew: Crew, cluster: Cluster) -> Recount:
    """Wait until the group has committed all records, those that it sends home itself too.

    Returns the recount of them.
    """

    def done() -> bool:
        with suppress(KafkaException):
            ends = last_offsets([entry for topic in INPUTS for entry in cluster.read(topic)])
            committed = cluster.positions(ends)
            if all(committed[place] >= end for place, end in ends.items()):
                return ends == last_offsets([e for topic in INPUTS for e in cluster.read(topic)])
        return False

    crew.until(done, "the group at the ends of its inputs", deadline_s=DRAIN_S)
    entries = [entry for topic in INPUTS for entry in cluster.read(topic)]
    return recount(entries, cluster.partitions)


def await_parts(crew: Crew, cluster: Cluster, expected: Recount) -> None:
    """Wait until the parts are what was counted; where they never are, the comparison says so."""

    def equal() -> bool:
        return not wrong_parts(cluster.read(PARTIALS), expected)

    with suppress(TortureError):
        crew.until(equal, "all parts published")


def compare(crew: Crew, cluster: Cluster, expected: Recount) -> Verdict:
    """Compare all that was committed, and the stores of workers that have left."""
    topics = (*INPUTS, *DEAD_LETTERS, ENRICHED, CHANGELOG, PARTIALS)
    return judge({topic: cluster.read(topic) for topic in topics}, expected, crew.stores())
