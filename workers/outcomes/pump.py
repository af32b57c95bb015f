"""From records to committed offsets: batches in, everything durable, then the commit.

The order makes at-least-once whole. Facts are in the changelog, scores and dead letters
acknowledged by the broker and examples stored before an offset is committed. What a crash leaves
behind is read, told and stored again under the same ids.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from workers.errors import WorkersError
from workers.examples.example import Example
from workers.examples.store import ExampleStore
from workers.outcomes.intake import Intake
from workers.outcomes.ledger import Change
from workers.outcomes.processor import OutcomesProcessor, Turn
from workers.outcomes.table import TableLedger
from workers.runtime.dead_letters import DeadLetters, dead_letter
from workers.runtime.metrics import LoopMetrics, OutcomesMetrics
from workers.runtime.processing import Output, Record, Rejected

log = structlog.get_logger(__name__)

_HELD = 20_000  # records that wait for the next flush, at most
_QUIET_S = 2.0  # without a record, after which the inputs count as read to their ends


class Pump:
    """Carries records through the processor. All of it runs in one event loop.

    Args:
        app: the Faust application, started by the caller.
        intake: where records come from and offsets go.
        processor: what is done with them.
        ledger: its table.
        store: where examples go.
        contract_name: contract names of the inputs by their names on the cluster.
        physical: gives a contract name's name on the cluster.
        dead_letters: counts rejected records and stops the worker when they are too many.
        flush_every: seconds between two flushes.
        metrics: where batches are counted.
        outcomes: where flushes are timed.
        on_beat: called once a turn.
    """

    def __init__(
        self,
        app: Any,
        intake: Intake,
        *,
        processor: OutcomesProcessor,
        ledger: TableLedger,
        store: ExampleStore,
        contract_name: dict[str, str],
        physical: Callable[[str], str],
        dead_letters: DeadLetters,
        flush_every: float,
        metrics: LoopMetrics,
        outcomes: OutcomesMetrics,
        on_beat: Callable[[], None],
    ) -> None:
        self._app = app
        self._intake = intake
        self._processor = processor
        self._ledger = ledger
        self._store = store
        self._contract_name = contract_name
        self._physical = physical
        self._dead_letters = dead_letters
        self._flush_every = flush_every
        self._metrics = metrics
        self._outcomes = outcomes
        self._on_beat = on_beat
        self._stopping = threading.Event()
        self._partitions: set[int] = set()
        self._held = _Held()
        self._since = time.perf_counter()
        self._quiet = 0.0

    def stop(self) -> None:
        """Ask the pump to end after the batch in hand. Safe to call from a signal handler."""
        self._stopping.set()

    def assigned(self) -> None:
        """Take the partitions over that the group has given; their table is restored."""
        for partition in sorted(self._intake.partitions - self._partitions):
            self._partitions.add(partition)
            self._ledger.assigned(partition)
            self._processor.assigned(partition)

    def revoked(self) -> None:
        """Let all partitions go, with what is held of them: their next owner reads it again."""
        for partition in self._partitions:
            self._processor.revoked(partition)
            self._ledger.revoked(partition)
        self._partitions = set()
        self._held = _Held()

    async def run(self) -> None:
        """Run until `stop`; then store, acknowledge and commit what is in hand.

        Raises:
            DeadLetterLimitError: too many records are rejected.
            WorkersError: something cannot be written, or nothing is committed for long.
        """
        while not self._stopping.is_set() and not self._app.should_stop:
            self._on_beat()
            began = time.perf_counter()
            if records := [self._record(each) for each in await self._intake.fetch()]:
                self._quiet = 0.0
                await self._process(records)
            else:
                self._idled(time.perf_counter() - began)
            for partition in sorted(self._partitions):
                if self._intake.epoch() is not None:
                    await self._settle(self._processor.due(partition))
            if self._flush_due():
                await self._flush()
        await self._flush()

    def _idled(self, seconds: float) -> None:
        self._processor.stream_time.waited(seconds)
        before, self._quiet = self._quiet, self._quiet + seconds
        if before < _QUIET_S <= self._quiet:
            for topic in self._contract_name.values():
                for partition in self._partitions:
                    self._metrics.reached_end(topic, partition)

    # --- records -------------------------------------------------------------------------

    async def _process(self, records: list[Record]) -> None:
        held = self._held
        self._metrics.consumed(records)
        turn = self._processor.process(records)
        rejected = [result for result in turn.outputs if isinstance(result, Rejected)]
        self._dead_letters.check(len(records), len(rejected))
        await self._settle(turn)
        self._dead_letters.count(len(records), len(rejected))
        held.records += records
        held.results += turn.outputs

    def _record(self, found: Any) -> Record:
        return Record(
            self._contract_name[found.topic],
            found.partition,
            found.offset,
            found.timestamp,
            found.key,
            found.value,
            found.headers,
        )

    # --- durability ----------------------------------------------------------------------

    async def _settle(self, turn: Turn) -> None:
        """Write facts here and on the cluster, and what is told of them; keep the examples."""
        outputs = [
            dead_letter(result, attempt=1) if isinstance(result, Rejected) else result
            for result in turn.outputs
        ]
        held = self._held
        if turn.changes or outputs:
            self._ledger.write(turn.changes)
            await self._send(turn.changes, outputs)
        held.examples += turn.examples
        held.forgotten += turn.forgotten

    async def _send(self, changes: Sequence[Change], outputs: Sequence[Output]) -> None:
        """Send, and wait until the broker has acknowledged all of it."""
        send = self._app.producer.send
        now = time.time()
        try:
            sent = [
                await send(
                    self._ledger.changelog, change.key, change.value, change.partition, now, None
                )
                for change in changes
            ]
            others = [
                await send(
                    self._physical(output.topic),
                    output.key,
                    output.value,
                    output.partition,
                    output.timestamp_ms / 1000,
                    list(output.headers),
                )
                for output in outputs
            ]
            written = await asyncio.gather(*sent)
            await asyncio.gather(*others)
        except Exception as error:
            raise WorkersError(f"the cluster does not take what is written: {error}") from error
        offsets: dict[int, list[int]] = {}
        for place in written:
            offsets.setdefault(place.partition, []).append(place.offset)
        for partition, of_partition in offsets.items():
            self._ledger.acknowledged(partition, of_partition)

    def _flush_due(self) -> bool:
        late = time.perf_counter() - self._since >= self._flush_every
        return bool(self._held) and (late or len(self._held.records) >= _HELD)

    async def _flush(self) -> None:
        """Store the examples, then commit the offsets of the records they are from."""
        started = time.perf_counter()
        held, self._held = self._held, _Held()
        epoch = self._intake.epoch()
        if epoch is None:
            return  # of an epoch that is over: it is read again
        if held.examples:
            await asyncio.to_thread(self._store.append, _newest(held.examples))
        if held.forgotten and self._intake.epoch() == epoch:
            self._ledger.write(held.forgotten)
            await self._send(held.forgotten, [])
        offsets = {
            (self._physical(record.topic), record.partition): record.offset + 1
            for record in held.records
        }
        await self._intake.commit(offsets, epoch)
        if held.records:
            rejected = [result for result in held.results if isinstance(result, Rejected)]
            outputs = [result for result in held.results if isinstance(result, Output)]
            seconds = time.perf_counter() - started
            self._metrics.committed(held.records, outputs, rejected, seconds)
        self._outcomes.flush_seconds.observe(time.perf_counter() - started)
        self._since = time.perf_counter()


@dataclass(slots=True)
class _Held:
    """What was done since the last flush; it goes when partitions are handed over."""

    records: list[Record] = field(default_factory=list)
    results: list[Output | Rejected] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    forgotten: list[Change] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.records or self.examples or self.forgotten)


def _newest(examples: Iterable[Example]) -> list[Example]:
    """Return of each listing what knows most."""
    newest: dict[tuple[str, str], Example] = {}
    for example in examples:
        key = example.seller_id, example.listing_id
        if key not in newest or example.revision >= newest[key].revision:
            newest[key] = example
    return list(newest.values())
