"""How each kind of fault is done to the crew and the broker."""

import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from confluent_kafka import KafkaException

from tests.torture.cluster import Cluster
from tests.torture.crew import PACE, Crew, TortureError, WorkerProcess
from tests.torture.plan import BASE, EXTRA, Fault, Kind
from tests.torture.verdict import CHANGELOG

_NEWCOMERS = 3
STEP_DEADLINE_S = 40.0  # a partition of a dead dynamic member waits for the session's time-out


class Restartable(Protocol):
    """A broker that goes away and comes back at the same address with the same data."""

    def restart(self) -> None:
        """Return when it answers again."""


class Striker:
    """Does faults, and knows how many there were.

    Args:
        crew: the workers of BASE are running.
        cluster: what they work on.
        broker: under it; None where it is not ours to restart.
    """

    def __init__(self, crew: Crew, cluster: Cluster, broker: Restartable | None) -> None:
        self._crew, self._cluster, self._broker = crew, cluster, broker
        self._to_start: set[str] = set()  # victims that are started after the next fault
        self.killed: Counter[str] = Counter()  # by step or kind
        self.missed: Counter[str] = Counter()  # killed at any moment, the step did not come
        self.others: Counter[str] = Counter()  # faults that killed nobody

    def strike(self, fault: Fault) -> None:
        """Do a fault, and start its victim again unless the next fault shall come before that.

        Raises:
            TortureError: a worker or the group did not get over it.
        """
        if fault.worker in self._to_start or not fault.worker:
            self._start_victims()
        how: dict[Kind, Callable[[Fault], None]] = {
            Kind.AT_RANDOM: self._at_random,
            Kind.AT_STEP: self._at_step,
            Kind.IN_RESTORE: self._in_restore,
            Kind.IN_REVOKE: self._in_revoke,
            Kind.IN_ASSIGN: self._in_assign,
            Kind.BROKER: self._restart_broker,
            Kind.FROZEN: self._frozen,
            Kind.STALLED: self._stalled,
            Kind.TIMED_OUT: self._timed_out,
            Kind.FENCED: self._fenced,
            Kind.ROLLING: self._rolling,
            Kind.COME_AND_GO: self._come_and_go,
            Kind.LEFT: self._left,
        }
        how[fault.kind](fault)
        if not fault.kind.kills:
            self.others[fault.kind.value] += 1
        if not fault.overlaps:
            self._start_victims()

    def settle(self) -> None:
        """Start whoever is still down."""
        self._start_victims()

    def start_over(self) -> None:
        """Kill all workers, each with its stacks in its log, and start those that stay."""
        self._crew.end()
        self._to_start = set(BASE)
        self._start_victims()

    # --- killed ----------------------------------------------------------------------------

    def _at_random(self, fault: Fault) -> None:
        PACE.wait(fault.delay_s)
        self._kill(fault.worker, "at-random")

    def _at_step(self, fault: Fault) -> None:
        self._crew.tend(*self._to_start)
        worker = self._crew.running[fault.worker]
        worker.arm(fault.step, fault.count, "kill", fault.fraction)
        self._await_death(fault.worker, fault.step)

    def _in_restore(self, fault: Fault) -> None:
        self._kill(fault.worker, "before-its-folder-was-deleted")
        shutil.rmtree(self._crew.data(fault.worker), ignore_errors=True)
        self._crew.start(fault.worker, armed=(fault.step, fault.count, "kill", fault.fraction))
        self._await_death(fault.worker, f"{fault.step}, folder deleted")

    def _in_revoke(self, fault: Fault) -> None:
        """Whoever has to give a partition to the newcomer dies of it.

        Where it is given one that nobody has at the moment, another one comes.
        """
        if not any(self._killed_in_revoke() for _ in range(_NEWCOMERS)):
            self.missed["in-revoke"] += 1

    def _killed_in_revoke(self) -> bool:
        self._settled()
        base = {name: self._crew.running[name] for name in BASE}
        for worker in base.values():
            worker.arm("in-revoke", 1)
        self._crew.start(EXTRA)
        with suppress(TortureError):
            self._crew.until(
                lambda: any(worker.killed for worker in base.values()),
                "a partition taken away",
                *BASE,
                deadline_s=STEP_DEADLINE_S,
            )
        dead = [name for name, worker in base.items() if worker.exit_code is not None]
        for name, worker in base.items():
            if name not in dead:
                worker.disarm()
        self.killed["in-revoke"] += len(dead)
        self._to_start.update(dead)
        self._start_victims()
        self._remove_extra()
        return bool(dead)

    def _in_assign(self, fault: Fault) -> None:
        """The newcomer dies with its first partitions; the others get them back."""
        self._settled()
        self._crew.start(EXTRA, armed=("in-assign", 1, "kill", 0))
        self._await_death(EXTRA, "in-assign")
        self._to_start.discard(EXTRA)
        self._crew.forget(EXTRA)

    def _restart_broker(self, fault: Fault) -> None:
        if self._broker is None:
            raise TortureError("this broker is not ours to restart")
        self._broker.restart()

    # --- not killed ------------------------------------------------------------------------

    def _frozen(self, fault: Fault) -> None:
        """SIGSTOP at a step until the group has given its partitions away, then SIGCONT."""
        self._settled()
        worker = self._crew.running[fault.worker]
        worker.arm(fault.step, fault.count, "stop")
        with suppress(TortureError):
            self._until(lambda: worker.frozen, "a step to freeze at", fault.worker)
        worker.freeze()  # where the step did not come
        self._until(lambda: self._expelled(fault.worker), "expelled", fault.worker)
        worker.go_on()

    def _stalled(self, fault: Fault) -> None:
        """The loop hangs for longer than `max.poll.interval.ms`, while heartbeats go on."""
        worker = self._held(fault.worker, "before-transaction")
        self._until(lambda: self._expelled(fault.worker), "expelled", fault.worker)
        worker.release()

    def _timed_out(self, fault: Fault) -> None:
        """The coordinator aborts an open transaction whose producer lives."""
        worker = self._held(fault.worker, "in-transaction")
        places = self._cluster.places(CHANGELOG)
        ends = self._cluster.ends(places, committed=False)

        def aborted() -> bool:
            stable = self._cluster.ends(places, committed=True)
            return all(stable[place] >= end for place, end in ends.items())

        self._until(aborted, "the transaction aborted by its coordinator", fault.worker)
        worker.release()

    def _fenced(self, fault: Fault) -> None:
        """A second process with the instance id of one that runs: one of the two has to go."""
        older, twin = fault.worker, f"{fault.worker}-twin"
        newer = self._crew.start(twin, instance=fault.worker)
        worker = self._crew.running[older]
        self._until(
            lambda: worker.exit_code is not None or newer.exit_code is not None,
            "one of two processes with one instance id gone",
            older,
            twin,
        )
        # What both say, and that they leave by themselves, counts as ended by themselves.
        for name in (older, twin):
            process = self._crew.running[name]
            if process.exit_code is None:
                process.stop()
            else:
                self._crew.ended[process.last_words()] += 1
        self._crew.forget(twin)
        self._to_start.add(older)

    def _rolling(self, fault: Fault) -> None:
        for name in BASE:
            self._leave(name)
            self._crew.start(name)
            self._until(partial(self._has_joined, name), f"{name} back")

    def _come_and_go(self, fault: Fault) -> None:
        extra = self._crew.start(EXTRA)
        self._until(lambda: extra.has_logged("partition started"), "a partition for the new one")
        self._remove_extra()

    def _left(self, fault: Fault) -> None:
        """One is away until the others have its partitions, then it comes back."""
        self._leave(fault.worker)
        self._until(lambda: self._expelled(fault.worker), "expelled", fault.worker)
        self._to_start.add(fault.worker)

    # --- parts -----------------------------------------------------------------------------

    def _kill(self, name: str, what: str) -> None:
        self._crew.tend(*self._to_start)
        self._crew.running[name].kill()
        self.killed[what] += 1
        self._to_start.add(name)

    def _await_death(self, name: str, what: str) -> None:
        worker = self._crew.running[name]
        with suppress(TortureError):
            self._crew.until(
                lambda: worker.exit_code is not None,
                f"{what} of {name}",
                name,
                *self._to_start,
                deadline_s=STEP_DEADLINE_S,
            )
        if worker.exit_code is None:
            worker.kill()
            self.missed[what] += 1
        elif not worker.killed:
            self._crew.tend(*self._to_start)  # it ended by itself before: counted, or an error
            self._crew.running[name].kill()
            self.missed[what] += 1
        self.killed[what] += 1
        self._to_start.add(name)

    def _start_victims(self) -> None:
        for name in sorted(self._to_start):
            self._crew.start(name)
        self._to_start.clear()

    def _leave(self, name: str) -> None:
        self._crew.tend()
        worker = self._crew.running[name]
        if (code := worker.stop()) == 0:
            return
        words = worker.last_words()
        self._crew.ended[words] += 1
        if not worker.may_be_retried:
            raise TortureError(f"{name} left with {code}: {words}")

    def _remove_extra(self) -> None:
        self._leave(EXTRA)
        self._crew.forget(EXTRA)

    def _held(self, name: str, step: str) -> WorkerProcess:
        self._settled()
        worker = self._crew.running[name]
        worker.arm(step, 1, "hold")
        self._until(lambda: worker.held, f"{name} held at {step}", name)
        return worker

    def _expelled(self, name: str) -> bool:
        return not self._cluster.members().get(name)

    def _settled(self) -> None:
        """Wait until the workers that stay, and no others, have all partitions among them."""

        def settled() -> bool:
            members = self._cluster.members()
            held = sorted(partition for parts in members.values() for partition in parts)
            return (
                members.keys() == set(BASE)
                and all(members.values())
                and held == list(range(self._cluster.partitions))
            )

        self._until(settled, "every worker with a partition")

    def _has_joined(self, name: str) -> bool:
        return self._crew.running[name].has_logged("partitions assigned")

    def _until(self, condition: Callable[[], bool], what: str, *but: str) -> None:
        def asked() -> bool:
            with suppress(KafkaException, TimeoutError):  # too busy to answer just now
                return condition()
            return False

        self._crew.until(asked, what, *but, *self._to_start)
