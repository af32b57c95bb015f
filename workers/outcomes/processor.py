"""What the outcomes worker does with records; it knows nothing of Faust or Kafka's clients."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from schemas import cloudevents
from schemas.errors import EventError
from schemas.topics import SUGGESTION_SCORED
from workers.examples.example import Example, Outcome
from workers.outcomes import facts
from workers.outcomes.case import Case, Scored
from workers.outcomes.facts import Answered, Censored, Fact, Listed, Sold
from workers.outcomes.ledger import (
    Change,
    Ledger,
    Subject,
    due_before,
    due_change,
    facts_of,
    listings_of,
)
from workers.outcomes.reading import ACCEPTED, FutureEventError, Told, read
from workers.outcomes.stream_time import StreamTime
from workers.runtime.metrics import OutcomesMetrics
from workers.runtime.processing import Output, Record, Rejected
from workers.runtime.routing import SellerRouter

SOURCE = "/secondsight/outcomes"

_DAY_S = 86_400
_DUE_AT_ONCE = 2_000  # listings looked at in one turn, so that records do not wait long for them


class TooManyFactsError(ValueError):
    """More is told of a listing than can be true of one."""


@dataclass(slots=True)
class Turn:
    """What comes of a batch.

    Attributes:
        changes: of the table; to be written and acknowledged before the batch counts as done.
        outputs: scores, dead letters and strays; the same.
        examples: to be stored; the same.
        forgotten: changes to be written when all of this is durable.
    """

    changes: list[Change] = field(default_factory=list)
    outputs: list[Output | Rejected] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    forgotten: list[Change] = field(default_factory=list)


class OutcomesProcessor:
    """Joins listings, answers and sales by facts, and tells what came of them.

    Whatever it is given twice it tells twice, under the same ids: so nothing is missing after a
    crash, wherever that fell.

    Args:
        ledger: the table of facts.
        router: sends strays to their seller's partition.
        metrics: where it counts.
        censor_after: days without a sale after which a listing is censored.
        memory: days after that until it is let go.
        max_future: seconds that an event's time may be ahead of `now`.
        idle: see `StreamTime`.
        max_facts: about one listing; what is beyond is a dead letter.
        now: seconds since 1970.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        router: SellerRouter,
        metrics: OutcomesMetrics,
        censor_after: int,
        memory: int,
        max_future: float,
        idle: float = 5.0,
        max_facts: int = 256,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._router = router
        self._metrics = metrics
        self._censor_after = censor_after * _DAY_S
        self._memory = memory * _DAY_S
        self._max_future = max_future
        self._max_facts = max_facts
        self._now = now
        self.stream_time = StreamTime(tuple(ACCEPTED), idle=idle)

    def assigned(self, partition: int) -> None:
        """Begin with a partition; its table is restored."""
        self.stream_time.assigned(partition)
        self._metrics.listings.labels(partition).set(listings_of(self._ledger, partition))

    def revoked(self, partition: int) -> None:
        """Let a partition go."""
        self.stream_time.revoked(partition)
        self._metrics.listings.remove(partition)

    def process(self, records: Sequence[Record]) -> Turn:
        """Take in what records tell, and tell what comes of it."""
        turn = Turn()
        told: dict[tuple[int, Subject], list[tuple[Record, Told]]] = {}
        now = self._now()
        for record in records:
            try:
                found = read(record, now=now, max_future=self._max_future)
                if found is None:
                    continue
                if (stray := self._router.sent_home(record, found.seller_id)) is not None:
                    turn.outputs.append(stray)
                    continue
            except EventError as error:
                turn.outputs.append(Rejected(record, "decode", error))
                continue
            except FutureEventError as error:
                turn.outputs.append(Rejected(record, "clock", error))
                continue
            self.stream_time.observe(record.partition, record.topic, found.fact.at.timestamp())
            subject = Subject(found.seller_id, found.listing_id)
            told.setdefault((record.partition, subject), []).append((record, found))
        for (partition, subject), of_subject in told.items():
            try:
                self._learn(turn, partition, subject, of_subject)
            except ValueError as error:  # what is told of this listing makes no sense together
                turn.outputs += [Rejected(record, "process", error) for record, _ in of_subject]
        self._count(turn)
        return turn

    def due(self, partition: int) -> Turn:
        """Censor the listings of a partition whose time is over, and let go of older ones."""
        turn = Turn()
        if (reached := self.stream_time.reached(partition)) is None:
            return turn
        found = due_before(self._ledger, partition, int(reached // _DAY_S))
        for due in islice(found, _DUE_AT_ONCE):
            # As if each day had come by itself: time may pass in leaps.
            self._look_at(turn, partition, due.subject, (due.day + 1) * _DAY_S)
            turn.forgotten.append(Change(partition, due.key, None))
        self._count(turn)
        return turn

    def _learn(
        self, turn: Turn, partition: int, subject: Subject, told: list[tuple[Record, Told]]
    ) -> None:
        known = facts_of(self._ledger, partition, subject)
        new = facts.joined({}, {})
        for _, each in told:
            new = facts.joined(new, {each.fact.key: facts.encode(each.fact)})
        if not known:
            self._metrics.listings.labels(partition).inc()
        both = facts.joined(known, new)
        if len(both) > self._max_facts:
            raise TooManyFactsError(f"more than {self._max_facts} facts about one listing")
        outputs, examples = self._results(subject, both, told)
        # Written even if it is there: the copy in the changelog may be missing.
        turn.changes += [Change(partition, subject.prefix + key, both[key]) for key in new]
        turn.changes += self._dues(partition, subject, known, [each.fact for _, each in told])
        turn.outputs += outputs
        turn.examples += examples

    def _results(
        self, subject: Subject, both: dict[bytes, bytes], told: list[tuple[Record, Told]]
    ) -> tuple[list[Output], list[Example]]:
        if not any(key[:1] in b"sc" for key in both):
            return [], []  # nothing came of it yet
        case = Case(*subject, map(facts.decode, both.values()))
        outputs = [
            self._output(scored, *cause) for scored, cause in _newly_scored(case, told).values()
        ]
        example = case.example()
        return outputs, [] if example is None else [example]

    def _dues(
        self, partition: int, subject: Subject, known: dict[bytes, bytes], told: list[Fact]
    ) -> Iterator[Change]:
        """Say when to look at the listing again."""
        listed = [fact.at.timestamp() for fact in told if isinstance(fact, Listed)]
        for at in listed:
            yield due_change(partition, _day(at + self._censor_after), subject)
        if not listed and not any(key.startswith(b"l") for key in known):
            at = max(fact.at.timestamp() for fact in told)
            yield due_change(partition, _day(at + self._censor_after + self._memory), subject)

    def _look_at(self, turn: Turn, partition: int, subject: Subject, reached: float) -> None:
        """Censor a listing, or let go of it, by what the time is then."""
        known = facts_of(self._ledger, partition, subject)
        if not known:
            return
        case = Case(*subject, map(facts.decode, known.values()))
        listed_at = case.listed_at
        censor_at = (listed_at or case.known_at).timestamp() + self._censor_after
        if reached >= censor_at + self._memory:
            turn.forgotten += [Change(partition, subject.prefix + key, None) for key in known]
            self._metrics.listings.labels(partition).dec()
            if listed_at is None:
                self._metrics.late.inc(case.sales)
            return
        if listed_at is None or reached < censor_at:
            return  # more has come since: it is looked at again on a later day
        turn.changes.append(due_change(partition, _day(censor_at + self._memory), subject))
        fact = Censored(datetime.fromtimestamp(censor_at, UTC), listed_at)
        if case.sales:
            return
        known[fact.key] = facts.encode(fact)
        turn.changes.append(Change(partition, subject.prefix + fact.key, known[fact.key]))
        example = Case(*subject, map(facts.decode, known.values())).example()
        if example is not None:
            turn.examples.append(example)

    def _output(self, scored: Scored, record: Record, told: Told) -> Output:
        event = scored.event
        return Output(
            topic=SUGGESTION_SCORED,
            partition=record.partition,
            key=event.seller_id.encode(),
            value=event.to_bytes(),
            headers=cloudevents.encode(
                event,
                event_id=scored.id,
                source=SOURCE,
                time=event.sold_at,
                subject=event.listing_id,
                traceparent=told.traceparent,
            ),
            timestamp_ms=record.timestamp_ms,
        )

    def _count(self, turn: Turn) -> None:
        scores = sum(isinstance(o, Output) and o.topic == SUGGESTION_SCORED for o in turn.outputs)
        self._metrics.scored.inc(scores)
        for outcome, count in Counter(example.outcome for example in turn.examples).items():
            self._metrics.examples.labels(Outcome(outcome).value).inc(count)


def _newly_scored(
    case: Case, told: list[tuple[Record, Told]]
) -> dict[str, tuple[Scored, tuple[Record, Told]]]:
    """Return the scores that records bring about, each with the record that did, by their ids.

    A sale brings about its own, an answer those of all sales.
    """
    found = {}
    for record, each in told:
        if isinstance(each.fact, Sold):
            scores = case.scores([each.fact.transaction_id])
        elif isinstance(each.fact, Answered):
            scores = case.scores()
        else:
            continue
        for scored in scores:
            found[scored.id] = scored, (record, each)
    return found


def _day(at: float) -> int:
    return max(0, int(at // _DAY_S))  # a time before 1970 is somebody's clock that was never set
