"""What is fetched and committed around a rebalance, with a client that does as it is told."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from faust.types import TP

from workers.errors import WorkersError
from workers.outcomes.faust_app import _Consumer
from workers.outcomes.intake import Intake

PLACE = TP("in", 0)


class Client:
    """Faust's application and consumer in one: one input with records 0, 1, 2, ..."""

    def __init__(self) -> None:
        self.consumer = self._thread = self
        self.rebalancing = False
        self.consumer_generation_id = 1
        self.assigned = {PLACE, TP("changelog", 0)}
        self.committed: dict[TP, int] = {}
        self.position = 0
        self.seeks = 0
        self.takes_commits = True
        self.meanwhile: Callable[[], None] = lambda: None

    def assignment(self) -> set[TP]:
        return self.assigned

    async def sleep(self, seconds: float) -> None:
        pass

    async def seek_to_committed(self) -> None:
        self.seeks += 1
        self.position = self.committed.get(PLACE, 0)

    async def getmany(self, places: set[TP], timeout: float) -> dict[TP, list[int]]:
        assert places == {PLACE}
        found = [self.position, self.position + 1]
        self.position += 2
        self.meanwhile()
        return {PLACE: found}

    async def commit(self, offsets: dict[TP, int]) -> bool:
        if self.takes_commits:
            self.committed |= offsets
        return self.takes_commits

    def rebalance(self) -> None:
        self.consumer_generation_id += 1


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def intake(client: Client) -> Intake:
    return Intake(client, inputs=frozenset({"in"}))


def fetch(intake: Intake) -> list[Any]:
    return asyncio.run(intake.fetch())


def commit(intake: Intake, offset: int, epoch: int | None) -> None:
    assert epoch is not None
    asyncio.run(intake.commit({("in", 0): offset}, epoch))


def test_an_epoch_begins_at_the_committed_offset_and_goes_on_without_a_hole(
    client: Client, intake: Intake
) -> None:
    client.position = 50  # where somebody has left it
    assert intake.epoch() is None
    assert [fetch(intake), fetch(intake)] == [[0, 1], [2, 3]]
    assert client.seeks == 1
    assert intake.partitions == {0}
    commit(intake, 4, intake.epoch())
    assert client.committed == {PLACE: 4}


@pytest.mark.parametrize("begun", [True, False])
def test_what_a_rebalance_overtakes_is_dropped_and_comes_again(
    client: Client, intake: Intake, begun: bool
) -> None:
    assert fetch(intake) == [0, 1]
    commit(intake, 2, intake.epoch())
    before = intake.epoch()

    def overtake() -> None:
        client.rebalancing = begun
        if not begun:  # it has come and gone
            client.rebalance()

    client.meanwhile = overtake
    assert fetch(intake) == []
    client.meanwhile = lambda: None
    if begun:
        assert fetch(intake) == []  # nothing is asked for meanwhile
        assert intake.epoch() is None
        client.rebalancing = False
        client.rebalance()
    assert fetch(intake) == [2, 3]
    assert intake.epoch() not in (None, before)


def test_offsets_of_an_earlier_epoch_are_not_committed(client: Client, intake: Intake) -> None:
    fetch(intake)
    before = intake.epoch()
    client.rebalance()
    commit(intake, 2, before)
    fetch(intake)
    commit(intake, 2, before)
    assert client.committed == {}
    commit(intake, 2, intake.epoch())
    assert client.committed == {PLACE: 2}


def test_a_rebalance_during_the_seek_begins_anew(client: Client, intake: Intake) -> None:
    seek = client.seek_to_committed

    async def overtaken() -> None:
        await seek()
        if client.seeks == 1:
            client.rebalance()

    client.seek_to_committed = overtaken  # type: ignore[method-assign]
    assert fetch(intake) == []
    assert fetch(intake) == [0, 1]
    assert client.seeks == 2


def test_a_worker_without_partitions_fetches_nothing(client: Client, intake: Intake) -> None:
    client.assigned = {TP("changelog", 0)}
    assert fetch(intake) == []
    assert (client.seeks, client.position) == (0, 0)


def test_commits_that_fail_for_long_end_the_worker(
    client: Client, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("workers.outcomes.intake.time.monotonic", lambda: clock[0])
    fetch(intake)
    client.takes_commits = False
    for clock[0] in (1.0, 120.0):
        commit(intake, 2, intake.epoch())
    clock[0] = 121.5
    with pytest.raises(WorkersError, match="no offsets could be committed"):
        commit(intake, 2, intake.epoch())
    client.takes_commits = True
    commit(intake, 2, intake.epoch())
    client.takes_commits = False
    commit(intake, 2, intake.epoch())  # the time begins anew


def test_faust_fetches_only_the_changelog_and_never_all_for_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    async def getmany(_self: Any, active: Any, timeout: float) -> dict[str, int]:
        asked.append(active)
        return {"found": 1}

    monkeypatch.setattr("faust.transport.consumer.ThreadDelegateConsumer._getmany", getmany)
    consumer = object.__new__(_Consumer)
    wanted = {TP("changelog", 0)}
    assert asyncio.run(_Consumer._getmany(consumer, wanted, 1.0)) == {"found": 1}
    wanted.clear()  # as Faust does while it waits
    assert asked == [{TP("changelog", 0)}]
    nothings: tuple[set[TP] | None, ...] = (set(), None)
    for nothing in nothings:
        assert asyncio.run(_Consumer._getmany(consumer, nothing, 1.0)) == {}
    assert len(asked) == 1
