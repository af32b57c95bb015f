from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from workers.runtime.metrics import StatsMetrics
from workers.stats.progress import RestoreProgress


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_share_and_what_is_left_are_exported_and_told_every_five_seconds() -> None:
    registry, clock = CollectorRegistry(), Clock()

    def exported(name: str) -> float | None:
        return registry.get_sample_value(name, {"partition": "4", "source": "changelog"})

    with capture_logs() as logged:
        progress = RestoreProgress(
            StatsMetrics(registry),
            partition=4,
            source="changelog",
            start=1_000,
            end=3_000,
            clock=clock,
        )
        assert exported("secondsight_restore_share") == 0.0
        assert exported("secondsight_restore_left") == 2_000
        clock.now += 4.9
        progress.at(1_200)
        assert logged == []
        clock.now += 3.1  # 8 s for a quarter: 24 s for the rest
        progress.at(1_500)
        clock.now += 4.9
        progress.moved(1_000)
        assert exported("secondsight_restore_share") == 0.75
        assert exported("secondsight_restore_left") == 500
        progress.done()
    (line,) = logged
    assert (line["partition"], line["source"], line["share"]) == (4, "changelog", 0.25)
    assert line["seconds_left"] == 24
    assert exported("secondsight_restore_share") == 1.0
    assert exported("secondsight_restore_left") == 0


def test_nothing_to_read_is_all_of_it() -> None:
    registry = CollectorRegistry()
    RestoreProgress(StatsMetrics(registry), partition=0, source="changelog", start=7, end=7)
    labels = {"partition": "0", "source": "changelog"}
    assert registry.get_sample_value("secondsight_restore_share", labels) == 1.0
