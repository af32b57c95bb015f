"""What is durable before an offset is committed, with a cluster and a store that keep a diary."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from prometheus_client import CollectorRegistry

from workers.errors import WorkersError
from workers.examples.store import ExampleStore
from workers.outcomes.intake import Intake
from workers.outcomes.ledger import Change
from workers.outcomes.pump import Pump
from workers.outcomes.table import TableLedger
from workers.runtime.dead_letters import DeadLetterLimitError, DeadLetters
from workers.runtime.metrics import LoopMetrics, OutcomesMetrics
from workers.runtime.processing import Record

if TYPE_CHECKING:
    from tests.workers.outcomes.conftest import Desk, Story


class World:
    """A cluster, a client and a store. `diary` tells what became durable, in order."""

    def __init__(self, desk: Desk) -> None:
        self.diary: list[str] = []
        self.batches: list[list[Record]] = []
        self.at_fetch: Callable[[], None] = lambda: None
        self.desk = desk
        self.current: int | None = 1
        self.offsets: dict[tuple[str, int], int] = {}
        self.broken = ""
        self.changelog = "changelog"
        self.partitions = {0, 1}
        self.should_stop = False
        self.producer = self

    async def send(
        self, topic: str, key: bytes, value: bytes, partition: int, *_: Any
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def acknowledged() -> None:
            if self.broken == topic:
                future.set_exception(TimeoutError("no broker"))
                return
            self.diary.append(topic)
            future.set_result(SimpleNamespace(partition=partition, offset=0))

        asyncio.get_running_loop().call_soon(acknowledged)
        return future

    def append(self, examples: Iterable[Any]) -> None:
        if self.broken == "store":
            raise WorkersError("disk full")
        self.diary += [f"example {each.listing_id} {each.revision}" for each in examples]

    def epoch(self) -> int | None:
        return self.current

    async def fetch(self) -> list[Any]:
        self.at_fetch()
        if not self.batches:
            self.should_stop = True
            return []
        return [
            SimpleNamespace(
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                timestamp=record.timestamp_ms,
                key=record.key,
                value=record.value,
                headers=record.headers,
            )
            for record in self.batches.pop(0)
        ]

    async def commit(self, offsets: dict[tuple[str, int], int], epoch: int) -> None:
        assert epoch == self.current
        self.diary.append("commit")
        self.offsets |= offsets

    def write(self, changes: Iterable[Change]) -> None:
        self.desk.ledger.write(changes)

    def acknowledged(self, partition: int, offsets: list[int]) -> None:
        pass

    def assigned(self, partition: int) -> None:
        pass

    revoked = assigned


@pytest.fixture
def world(desk: Desk) -> World:
    return World(desk)


def pump(world: World) -> Pump:
    registry = CollectorRegistry()
    names = ("listing.enriched", "price.suggested", "transactions")
    return Pump(
        world,
        cast(Intake, world),
        processor=world.desk.processor,
        ledger=cast(TableLedger, world),
        store=cast(ExampleStore, world),
        contract_name={name: name for name in names},
        physical=lambda name: name,
        dead_letters=DeadLetters(max_ratio=0.5, window=4),
        flush_every=3600.0,
        metrics=LoopMetrics(registry),
        outcomes=OutcomesMetrics(registry),
        on_beat=lambda: None,
    )


def sold(story: Story) -> list[Record]:
    events = (story.listed(), story.priced(), story.sold())
    return [story.record(event, offset=7 + number) for number, event in enumerate(events)]


def test_facts_scores_and_examples_are_durable_before_the_commit(
    world: World, story: Story
) -> None:
    world.batches = [sold(story)]
    asyncio.run(pump(world).run())
    assert world.diary[-2:] == ["example l1 3", "commit"]
    assert set(world.diary[:-2]) == {"changelog", "suggestion.scored"}
    partition = sold(story)[0].partition
    assert world.offsets == {
        ("listing.enriched", partition): 8,
        ("price.suggested", partition): 9,
        ("transactions", partition): 10,
    }


@pytest.mark.parametrize("broken", ["changelog", "suggestion.scored", "store"])
def test_what_cannot_be_written_ends_the_worker_before_the_commit(
    world: World, story: Story, broken: str
) -> None:
    world.batches = [sold(story)]
    world.broken = broken
    with pytest.raises(WorkersError):
        asyncio.run(pump(world).run())
    assert "commit" not in world.diary


def test_of_a_listing_the_example_that_knows_most_is_stored(world: World, story: Story) -> None:
    refund = story.record(story.taken_back(100), event_id="r", offset=11)
    world.batches = [sold(story), [refund]]
    asyncio.run(pump(world).run())
    assert [entry for entry in world.diary if entry.startswith("example")] == ["example l1 4"]


def test_what_is_held_goes_with_the_partitions(world: World, story: Story) -> None:
    running = pump(world)
    running.assigned()
    world.batches = [sold(story)]

    def handed_over() -> None:
        if not world.batches:  # the batch is done and not flushed
            running.revoked()
            world.current = 2

    world.at_fetch = handed_over
    asyncio.run(running.run())
    assert world.offsets == {}
    assert not [entry for entry in world.diary if entry.startswith("example")]


def test_too_many_bad_records_end_the_worker_with_nothing_set_aside(
    world: World, story: Story
) -> None:
    import msgspec

    bad = [msgspec.structs.replace(record, value=b"{}") for record in sold(story)]
    world.batches = [bad]
    with pytest.raises(DeadLetterLimitError):
        asyncio.run(pump(world).run())
    assert world.diary == []


def test_a_few_bad_records_are_set_aside_and_committed(world: World, story: Story) -> None:
    import msgspec

    good = sold(story)
    world.batches = [[*good[:2], msgspec.structs.replace(good[2], value=b"{}")]]
    asyncio.run(pump(world).run())
    assert "transactions.dead-letter" in world.diary
    assert world.diary[-1] == "commit"
    assert world.offsets["transactions", good[2].partition] == 10
