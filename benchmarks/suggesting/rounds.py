"""Rounds of throughput to figures: medians of the ratios within each round."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.peers.measure import Run
from benchmarks.suggesting.throughput import Forward

Figures = dict[str, float | int | str]


@dataclass(frozen=True)
class Round:
    """One after the other: the forward pass, our worker, the forward pass, the plain worker."""

    ours: Run
    before: Forward
    after: Forward
    plain: Run | None

    @property
    def forward_per_s(self) -> float:
        """Photos a second, mean of before and after."""
        return (self.before.per_s + self.after.per_s) / 2

    @property
    def share_by_cpu(self) -> float:
        """Processor time of the forward pass over that of the worker, for a listing."""
        return self.ours.per_cpu_s / ((self.before.per_cpu_s + self.after.per_cpu_s) / 2)


def figures_of(rounds: Sequence[Round]) -> Figures:
    """Return the medians, and the spread of the shares."""
    shares = [each.ours.per_s / each.forward_per_s for each in rounds]
    figures: Figures = {
        "rounds": len(rounds),
        "listings_per_s": round(median(each.ours.per_s for each in rounds), 1),
        "forward_per_s": round(median(each.forward_per_s for each in rounds), 1),
        "share_of_forward": round(median(shares), 3),
        "share_of_forward_least": round(min(shares), 3),
        "share_of_forward_most": round(max(shares), 3),
        "share_of_forward_by_cpu": round(median(each.share_by_cpu for each in rounds), 3),
    }
    beside = [(each.ours, each.plain) for each in rounds if each.plain is not None]
    if beside:
        figures |= {
            "plain_per_s": round(median(plain.per_s for _, plain in beside), 1),
            "times_plain_worker": round(median(o.per_s / p.per_s for o, p in beside), 2),
            "times_plain_worker_by_cpu": round(
                median(o.per_cpu_s / p.per_cpu_s for o, p in beside), 2
            ),
        }
    return figures
