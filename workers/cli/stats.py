"""`secondsight stats`: the stats worker."""

from workers.runtime.settings import Settings


def stats() -> None:
    """Keep sold-price statistics and write them into new listings (a long-running worker)."""
    from workers.stats.worker import run_stats

    run_stats(Settings())
