"""From Faust's queue to committed offsets: batches in, everything durable, then acknowledgement.

The order makes at-least-once whole. Facts are in the changelog, scores and dead letters
acknowledged by the broker and examples stored before an event is acknowledged to Faust, which
commits nothing else. What a crash leaves behind is read, told and stored again under the same ids.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog

from workers.errors import WorkersError
from workers.examples.example import Example
from workers.examples.store import ExampleStore
from workers.outcomes.ledger import Change
from workers.outcomes.processor import OutcomesProcessor, Turn
from workers.outcomes.table import TableLedger
from workers.runtime.dead_letters import DeadLetters, dead_letter
from workers.runtime.metrics import LoopMetrics, OutcomesMetrics
from workers.runtime.processing import Output, Record, Rejected

log = structlog.get_logger(__name__)

_TICK_S = 0.02  # between two looks at an empty queue
_COMPANY_S = 0.05  # that the first event of a batch waits for others
_BATCH = 2_000  # events taken in at once: between two of these the event loop goes round
_HELD = 20_000  # events that wait for the next flush, at most; they are in memory
_QUIET_S = 2.0  # without an event, after which the inputs count as read to their ends
_STALLED_S = 120.0  # that acknowledged offsets may stay uncommitted


class Pump:
    """Carries events through the processor. All of it runs in one event loop.

    Args:
        app: the Faust application, started by the caller.
        channel: where its events come from.
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
        channel: Any,
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
        self._queue = channel.queue
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
        self._held: list[Any] = []  # events whose examples are not stored yet
        self._records: list[Record] = []  # the same as records
        self._results: list[Output | Rejected] = []
        self._examples: list[Example] = []
        self._forgotten: list[Change] = []
        self._since = time.perf_counter()
        self._quiet = 0.0
        self._unmoved: dict[tuple[str, int], tuple[int, float]] = {}

    def stop(self) -> None:
        """Ask the pump to end after the batch in hand. Safe to call from a signal handler."""
        self._stopping.set()

    def assigned(self, partitions: Iterable[int]) -> None:
        """Take partitions over whose table is restored."""
        for partition in sorted(set(partitions) - self._partitions):
            self._partitions.add(partition)
            self._ledger.assigned(partition)
            self._processor.assigned(partition)

    def revoked(self, partitions: Iterable[int]) -> None:
        """Let partitions go, with what is held of them: their next owner reads it again."""
        gone = set(partitions) & self._partitions
        for partition in gone:
            self._processor.revoked(partition)
            self._ledger.revoked(partition)
        self._partitions -= gone
        self._forgotten = [each for each in self._forgotten if each.partition not in gone]

    async def run(self) -> None:
        """Run until `stop`; then store, acknowledge and commit what is in hand.

        Raises:
            DeadLetterLimitError: too many records are rejected.
            WorkersError: something cannot be written, or nothing is committed for long.
        """
        while not self._stopping.is_set() and not self._app.should_stop:
            self._on_beat()
            if events := await self._take():
                await self._process(events)
            for partition in sorted(self._partitions):
                await self._settle(self._processor.due(partition))
            if self._flush_due():
                await self._flush()
        await self._flush()

    # --- events --------------------------------------------------------------------------

    async def _take(self) -> list[Any]:
        """Return a batch of events, or none where none came within a tick."""
        if self._queue.empty():
            self._queue.maybe_endorse_pressure_drop()  # else Faust may never fetch again
            await asyncio.sleep(_TICK_S)
            if self._queue.empty():
                self._processor.stream_time.waited(_TICK_S)
                self._is_quiet()
                return []
        if self._queue.qsize() < _BATCH:
            await asyncio.sleep(_COMPANY_S)
        self._quiet = 0.0
        # Those of an earlier generation of the group are somebody else's, or come again.
        generation = self._app.consumer_generation_id
        events = [self._queue.get_nowait() for _ in range(min(_BATCH, self._queue.qsize()))]
        return [event for event in events if event.message.generation_id == generation]

    def _is_quiet(self) -> None:
        before, self._quiet = self._quiet, self._quiet + _TICK_S
        if before < _QUIET_S <= self._quiet:
            for topic in self._contract_name.values():
                for partition in self._partitions:
                    self._metrics.reached_end(topic, partition)

    async def _process(self, events: Sequence[Any]) -> None:
        records = [self._record(event.message) for event in events]
        records_by_place = sorted(records, key=lambda record: (record.topic, record.partition))
        self._metrics.consumed(records_by_place)
        turn = self._processor.process(records)
        rejected = [result for result in turn.outputs if isinstance(result, Rejected)]
        self._dead_letters.check(len(records), len(rejected))
        await self._settle(turn)
        self._dead_letters.count(len(records), len(rejected))
        self._held += events
        self._records += records
        self._results += turn.outputs

    def _record(self, message: Any) -> Record:
        return Record(
            self._contract_name[message.topic],
            message.partition,
            message.offset,
            int((message.timestamp or 0) * 1000),
            message.key,
            message.value,
            message.headers or (),
        )

    # --- durability ----------------------------------------------------------------------

    async def _settle(self, turn: Turn) -> None:
        """Write facts here and on the cluster, and what is told of them; keep the examples."""
        outputs = [
            dead_letter(result, attempt=1) if isinstance(result, Rejected) else result
            for result in turn.outputs
        ]
        self._examples += turn.examples
        self._forgotten += turn.forgotten
        if turn.changes or outputs:
            self._ledger.write(turn.changes)
            await self._send(turn.changes, outputs)

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
        waiting = self._held or self._examples or self._forgotten
        return bool(waiting) and (late or len(self._held) >= _HELD)

    async def _flush(self) -> None:
        """Store the examples, then acknowledge and commit the events they are from."""
        started = time.perf_counter()
        if self._examples:
            await asyncio.to_thread(self._store.append, _newest(self._examples))
        if self._forgotten:
            self._ledger.write(self._forgotten)
            await self._send(self._forgotten, [])
        generation = self._app.consumer_generation_id
        for event in self._held:
            if event.message.generation_id == generation:
                event.ack()
        await self._app.consumer.commit()
        self._check_commits()
        if self._records:
            rejected = [result for result in self._results if isinstance(result, Rejected)]
            outputs = [result for result in self._results if isinstance(result, Output)]
            seconds = time.perf_counter() - started
            self._metrics.committed(self._records, outputs, rejected, seconds)
        self._outcomes.flush_seconds.observe(time.perf_counter() - started)
        self._held, self._records, self._results = [], [], []
        self._examples, self._forgotten = [], []
        self._since = time.perf_counter()

    def _check_commits(self) -> None:
        """End the worker where Faust has lost its count of acknowledgements.

        Raises:
            WorkersError: what was acknowledged long ago is not committed.
        """
        now = time.monotonic()
        wanted = {
            (event.message.topic, event.message.partition): event.message.offset + 1
            for event in self._held
        }
        committed = {
            (tp.topic, tp.partition): at or 0
            for tp, at in self._app.consumer._committed_offset.items()
        }
        for place, offset in wanted.items():
            before, since = self._unmoved.get(place, (offset, now))
            if committed.get(place, 0) >= before:
                before, since = offset, now
            self._unmoved[place] = before, since
            if now - since > _STALLED_S:
                raise WorkersError(
                    f"offset {before} of {place[0]} {place[1]} was acknowledged "
                    f"{now - since:.0f} s ago and is not committed; start the worker again"
                )


def _newest(examples: Iterable[Example]) -> list[Example]:
    """Return of each listing what knows most."""
    newest: dict[tuple[str, str], Example] = {}
    for example in examples:
        key = example.seller_id, example.listing_id
        if key not in newest or example.revision >= newest[key].revision:
            newest[key] = example
    return list(newest.values())
