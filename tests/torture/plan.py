"""Which faults a run has, and in which order: settled by the seed before it begins."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.torture.steps import AT_COMMIT

BASE = ("a", "b", "c")  # the workers that are there throughout, with instance ids
EXTRA = "d"  # comes and goes, without one
COUNT_MAX = 12  # batches until a step strikes: a second or two of them


class Kind(StrEnum):
    """What is done; `kills` says how many processes that ends with SIGKILL."""

    AT_RANDOM = "at-random"
    AT_STEP = "at-step"
    IN_RESTORE = "in-restore"
    IN_REVOKE = "in-revoke"
    IN_ASSIGN = "in-assign"
    BROKER = "broker-restart"
    FROZEN = "frozen"
    STALLED = "stalled"
    TIMED_OUT = "transaction-timed-out"
    FENCED = "producer-fenced"
    ROLLING = "rolling-restart"
    COME_AND_GO = "worker-comes-and-goes"
    LEFT = "worker-leaves-for-a-while"

    @property
    def kills(self) -> int:
        """One each; in a restore two, for the folder is deleted under a worker that is dead."""
        return {
            Kind.AT_RANDOM: 1,
            Kind.AT_STEP: 1,
            Kind.IN_RESTORE: 2,
            Kind.IN_REVOKE: 1,
            Kind.IN_ASSIGN: 1,
        }.get(self, 0)


QUIET = tuple(kind for kind in Kind if not kind.kills and kind is not Kind.BROKER)
SLOW_EVERY = 12  # kills for one fault that kills nobody; those wait for time-outs of the group


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        kind: what is done.
        worker: to whom; nobody in particular where it is "".
        step: where, see `steps`; "" where the kind says it.
        count: at which passage of the step from then on.
        fraction: of a WriteBatch's time, for the step `in-write`.
        delay_s: until a kill at random.
        overlaps: the next fault comes before this one's victim is started again.
    """

    kind: Kind
    worker: str = ""
    step: str = ""
    count: int = 1
    fraction: float = 0.0
    delay_s: float = 0.0
    overlaps: bool = False

    def __str__(self) -> str:
        return " ".join(part for part in (self.kind.value, self.step, self.worker) if part)


def plan(*, kills: int, seed: int) -> list[Fault]:
    """Return faults with so many kills; the same for the same arguments.

    Every twenty kills have every step of a commit, a restore, both sides of a rebalance and a
    restart of the broker among them, in an order of their own; the other faults that kill
    nobody come in turn.
    """
    rng = random.Random(seed)
    faults: list[Fault] = []
    quiet = _in_turn(rng, QUIET)
    deck: list[tuple[Kind, str]] = []
    done = 0
    while done < kills:
        if not deck:
            deck = _deck(rng)
        kind, step = deck.pop()
        if done + kind.kills > kills:
            kind, step = Kind.AT_RANDOM, ""
        before, done = done, done + kind.kills
        faults.append(_fault(rng, kind, step))
        if before // SLOW_EVERY < done // SLOW_EVERY:
            faults.append(_fault(rng, next(quiet), ""))
    return faults


def _deck(rng: random.Random) -> list[tuple[Kind, str]]:
    deck = [(Kind.AT_STEP, step) for step in AT_COMMIT]
    deck += [(Kind.AT_STEP, "in-write"), (Kind.AT_STEP, "before-write")]
    deck += [(Kind.AT_RANDOM, "")] * 6
    deck += [(kind, "") for kind in (Kind.IN_REVOKE, Kind.IN_ASSIGN, Kind.BROKER)]
    deck += [(Kind.IN_RESTORE, rng.choice(("in-restore", "after-restore", "in-write")))]
    rng.shuffle(deck)
    return deck


def _in_turn(rng: random.Random, kinds: tuple[Kind, ...]) -> Iterator[Kind]:
    while True:
        yield from rng.sample(kinds, len(kinds))


def _fault(rng: random.Random, kind: Kind, step: str) -> Fault:
    # Every number is drawn for every fault, so that one kind's needs do not shift the others'.
    worker, count = rng.choice(BASE), rng.randint(1, COUNT_MAX)
    fraction, delay_s = rng.random(), rng.uniform(0.0, 1.5)
    overlaps, at_commit = rng.random() < 0.25, rng.choice(AT_COMMIT)
    if kind in (Kind.IN_REVOKE, Kind.IN_ASSIGN, Kind.BROKER, Kind.ROLLING, Kind.COME_AND_GO):
        return Fault(kind=kind)
    if kind is Kind.FROZEN:
        return Fault(kind=kind, worker=worker, step=at_commit, count=count)
    if kind is Kind.IN_RESTORE:
        return Fault(kind=kind, worker=worker, step=step, fraction=fraction)
    if kind is Kind.AT_RANDOM:
        return Fault(kind=kind, worker=worker, delay_s=delay_s, overlaps=overlaps)
    if kind is Kind.AT_STEP:
        return Fault(
            kind=kind,
            worker=worker,
            step=step,
            count=count,
            fraction=fraction,
            overlaps=overlaps,
        )
    return Fault(kind=kind, worker=worker)
