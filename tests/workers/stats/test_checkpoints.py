"""When a checkpoint of a store is made, and what a failure does."""

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from workers.runtime.metrics import StatsMetrics
from workers.stats.checkpoint_storage import CheckpointStorage
from workers.stats.checkpoints import Checkpointer

LOG = "stats.changelog@cluster@topic"
INTERVAL = 60.0


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A checkpointer whose clock is moved by hand, and what it has made."""

    def __init__(self, folder: Path) -> None:
        self.url, self.data = str(folder / "checkpoints"), folder / "data"
        self.clock, self.registry = Clock(), CollectorRegistry()
        self.checkpointer = Checkpointer(
            CheckpointStorage(self.url),
            scratch=self.data,
            changelog=LOG,
            interval=INTERVAL,
            metrics=StatsMetrics(self.registry),
            clock=self.clock,
        )

    def later(self, seconds: float) -> list[int]:
        """Let time pass; return the positions of the checkpoints of partition 2 then."""
        self.clock.now += seconds
        self.checkpointer.make_due()
        found = CheckpointStorage(self.url).newest(LOG, 2, end=10**9)
        return [each.manifest.position for each in found]

    def counted(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("secondsight_checkpoints_total", {"outcome": outcome})


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_one_is_made_an_interval_where_anything_is_new(bench: Bench, stores: Any) -> None:
    store = stores.open_at(bench.data / "2", 2)
    stores.sell(store, [5], position=10)
    bench.checkpointer.watch(store, checkpoint=0)
    assert bench.later(INTERVAL - 1) == []
    assert bench.later(1) == [10]
    assert bench.later(INTERVAL) == [10]  # nothing new
    assert bench.counted("made") == 1
    stores.sell(store, [6], position=20)
    assert bench.later(INTERVAL - 1) == [10]
    assert bench.later(1) == [20, 10]
    size = bench.registry.get_sample_value("secondsight_checkpoint_bytes", {"partition": "2"})
    assert size is not None
    assert size > 1_000
    store.close()
    assert [file.name for file in bench.data.iterdir()] == ["2"]


def test_none_is_made_of_what_was_just_fetched(bench: Bench, stores: Any) -> None:
    store = stores.open_at(bench.data / "2", 2)
    stores.sell(store, [5], position=10)
    bench.checkpointer.watch(store, checkpoint=10)
    assert bench.later(INTERVAL) == []
    store.close()


def test_a_closed_store_is_let_go_and_its_successor_watched(bench: Bench, stores: Any) -> None:
    first = stores.open_at(bench.data / "2", 2)
    stores.sell(first, [5], position=10)
    bench.checkpointer.watch(first, checkpoint=0)
    first.close()
    with capture_logs() as logged:
        assert bench.later(INTERVAL) == []
    assert logged == []
    second = stores.open_at(bench.data / "2", 2)
    bench.checkpointer.watch(second, checkpoint=0)
    assert bench.later(INTERVAL) == [10]
    second.close()


def test_a_failure_is_told_and_tried_again(bench: Bench, stores: Any) -> None:
    store = stores.open_at(bench.data / "2", 2)
    stores.sell(store, [5], position=10)
    bench.checkpointer.watch(store, checkpoint=0)
    Path(bench.url).write_text("a file where a folder should be")
    bench.clock.now += INTERVAL
    with capture_logs() as logged:
        bench.checkpointer.make_due()
    assert [line["event"] for line in logged] == ["checkpoint failed"]
    assert bench.counted("failed") == 1
    Path(bench.url).unlink()
    assert bench.later(INTERVAL) == [10]
    stores.sell(store, [6], position=20)  # and the store was not harmed
    assert stores.sold(store) == (2, 11)
    store.close()


def test_what_a_kill_left_is_no_hindrance(bench: Bench, stores: Any) -> None:
    store = stores.open_at(bench.data / "2", 2)
    stores.sell(store, [5], position=10)
    (bench.data / "2.checkpoint").mkdir()
    (bench.data / "2.checkpoint" / "CURRENT").write_text("cut sh")
    bench.checkpointer.watch(store, checkpoint=0)
    assert bench.later(INTERVAL) == [10]
    store.close()
