"""Which state a store is opened from: its folder, or one of several checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from stats_store.checkpoint import take_checkpoint
from stats_store.errors import StoreLockedError
from workers.runtime.metrics import StatsMetrics
from workers.stats.checkpoint_storage import CheckpointStorage
from workers.stats.opening import StoreOpener

LOG = "stats.changelog@cluster@topic"
END = 200_000
PARTITION = 1


def never() -> bool:
    return False


class Place:
    """A data folder and a storage of checkpoints, both empty at first."""

    def __init__(self, folder: Path, stores: Any) -> None:
        self.data, self.url = folder / "data", str(folder / "checkpoints")
        self._scratch = folder / "scratch"
        self._stores = stores
        self.registry = CollectorRegistry()
        self.opener = StoreOpener(
            self.data,
            open_at=stores.open_at,
            storage=CheckpointStorage(self.url),
            changelog=LOG,
            ends=lambda _partition: END,
            metrics=StatsMetrics(self.registry),
        )

    def have(self, prices: list[int], *, position: int) -> None:
        """Leave a state of these prices in the data folder."""
        store = self._stores.open_at(self.data / f"{PARTITION}", PARTITION)
        self._stores.sell(store, prices, position=position)
        store.close()

    def ship(self, prices: list[int], *, position: int, partition: int = PARTITION) -> Path:
        """Publish a checkpoint of these prices; return its folder."""
        name = f"{position}-{partition}"
        store = self._stores.open_at(self._scratch / name, partition)
        self._stores.sell(store, prices, position=position)
        take_checkpoint(store, self._scratch / f"{name}.copy")
        store.close()
        published = CheckpointStorage(self.url).publish(
            self._scratch / f"{name}.copy",
            changelog=LOG,
            partition=PARTITION,
            position=position,
            cancelled=never,
        )
        return Path(published.path)

    def opened(self, cancelled: Callable[[], bool] = never) -> tuple[tuple[int, int], int]:
        """Number and sum of prices, and position, of the store that is opened."""
        store = self.opener(PARTITION, cancelled)
        try:
            return self._stores.sold(store), store.changelog_position
        finally:
            store.close()

    def counted(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("secondsight_checkpoints_total", {"outcome": outcome})


@pytest.fixture
def place(tmp_path: Path, stores: Any) -> Place:
    return Place(tmp_path, stores)


def test_without_state_the_newest_checkpoint_is_taken(place: Place) -> None:
    place.ship([5, 6], position=50)
    place.ship([5, 6, 7], position=60)
    assert place.opened() == ((3, 18), 60)
    assert place.opener.fetched == {PARTITION: 60}
    assert place.counted("fetched") == 1
    assert place.opened() == ((3, 18), 60)  # it is in the folder now
    assert place.counted("fetched") == 1
    assert [file.name for file in place.data.iterdir()] == [f"{PARTITION}"]
    labels = {"partition": f"{PARTITION}", "source": "checkpoint"}
    assert place.registry.get_sample_value("secondsight_restore_share", labels) == 1.0


def test_without_a_checkpoint_a_store_is_begun(place: Place) -> None:
    assert place.opened() == ((0, 0), 0)
    assert place.opener.fetched == {}


def test_a_state_that_is_ahead_or_near_is_kept(place: Place) -> None:
    place.have([1], position=100)
    place.ship([2, 2], position=90)
    assert place.opened() == ((1, 1), 100)
    place.ship([3, 3, 3], position=150)
    assert place.opened() == ((1, 1), 100)


def test_a_state_far_behind_is_replaced(place: Place) -> None:
    place.have([1], position=100)
    place.ship([3, 3, 3], position=120_000)
    assert place.opened() == ((3, 9), 120_000)
    assert [file.name for file in place.data.iterdir()] == [f"{PARTITION}"]


def test_damaged_ones_are_passed_over_and_the_next_nearest_is_used(place: Place) -> None:
    place.ship([1], position=10)
    damaged = place.ship([1, 2], position=20)
    table = next(damaged.glob("*.sst"))
    table.write_bytes(table.read_bytes()[:-1] + b"?")
    with capture_logs() as logged:
        assert place.opened() == ((1, 1), 10)
    assert [line["checkpoint"] for line in logged if line["log_level"] == "warning"] == [
        str(damaged)
    ]
    assert place.counted("refused") == 1


def test_one_that_is_another_than_its_manifest_says_is_passed_over(place: Place) -> None:
    place.ship([1], position=10)
    place.ship([8], position=20, partition=9)  # sums agree, but it is of another partition
    assert place.opened() == ((1, 1), 10)
    assert place.counted("refused") == 1


def test_one_ahead_of_the_changelog_is_not_used(place: Place) -> None:
    place.ship([1], position=END + 1)
    assert place.opened() == ((0, 0), 0)


def test_a_storage_that_cannot_be_read_leaves_the_state(place: Place, tmp_path: Path) -> None:
    place.have([1], position=100)
    Path(place.url).write_text("a file where a folder should be")
    with capture_logs() as logged:
        assert place.opened() == ((1, 1), 100)
    assert [line["event"] for line in logged] == ["no checkpoint can be used"]


def test_cut_short_it_opens_what_is_there(place: Place) -> None:
    place.have([1], position=100)
    place.ship([3, 3, 3], position=120_000)
    asked: list[None] = []

    def cancelled() -> bool:
        asked.append(None)
        return len(asked) > 1  # while it is being copied

    assert place.opened(cancelled) == ((1, 1), 100)
    assert len(asked) > 1
    assert [file.name for file in place.data.iterdir()] == [f"{PARTITION}"]


def test_what_a_kill_left_is_no_hindrance(place: Place) -> None:
    for name in ("fetched", "replaced"):
        (place.data / f"{PARTITION}.{name}").mkdir(parents=True)
        (place.data / f"{PARTITION}.{name}" / "CURRENT").write_text("cut sh")
    place.have([1], position=100)
    place.ship([3, 3, 3], position=120_000)
    assert place.opened() == ((3, 9), 120_000)
    assert [file.name for file in place.data.iterdir()] == [f"{PARTITION}"]


def test_a_state_that_another_has_open_is_not_replaced(place: Place, stores: Any) -> None:
    place.ship([3, 3, 3], position=120_000)
    other = stores.open_at(place.data / f"{PARTITION}", PARTITION)
    with pytest.raises(StoreLockedError):
        place.opened()
    stores.sell(other, [4], position=5)
    assert stores.sold(other) == (1, 4)
    other.close()
