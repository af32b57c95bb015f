"""The benchmark of serving: what it refuses, what it makes of its samples, and a short run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest


def answer(price: int | None, confidence: float | None = 0.5) -> dict[str, Any]:
    return {"price_minor": price, "confidence": confidence}


@pytest.mark.parametrize(
    "plain",
    [
        {"a": answer(1_009), "b": answer(None)},
        {"a": answer(1_000, 0.509), "b": answer(None)},
        {"a": answer(1_000), "faulty": answer(7)},  # only ours looks for faults
    ],
)
def test_a_plain_worker_with_the_same_answers_may_be_compared(
    plain: dict[str, dict[str, Any]],
) -> None:
    from benchmarks.suggesting.given import check_equal

    ours = {"a": answer(1_000), "b": answer(None), "faulty": answer(None, None)}
    check_equal(ours, plain)


@pytest.mark.parametrize(
    "plain",
    [
        {"a": answer(1_011), "b": answer(None)},
        {"a": answer(989), "b": answer(None)},
        {"a": answer(1_000), "b": answer(None, 0.52)},
        {"b": answer(None)},  # nothing is priced by both
    ],
)
def test_a_plain_worker_with_other_answers_ends_the_run(plain: dict[str, dict[str, Any]]) -> None:
    from benchmarks.suggesting.given import check_equal

    with pytest.raises(SystemExit):
        check_equal({"a": answer(1_000), "b": answer(None)}, plain)


def test_memory_is_judged_after_the_first_third() -> None:
    from benchmarks.suggesting.memory import Memory

    steep = [(done, 90_000 * done) for done in range(0, 1_000, 100)]
    flat = [(done, 100_000_000 + 2_000 * done) for done in range(1_000, 3_001, 100)]
    found = Memory(psutil.Process(), [*steep, *flat])
    assert found.mb_per_1000_listings == pytest.approx(2.0)
    assert found.peak_mb == pytest.approx(106.0)


def test_ratios_are_medians_over_rounds() -> None:
    from benchmarks.peers.measure import Run
    from benchmarks.suggesting.rounds import Round, figures_of
    from benchmarks.suggesting.throughput import Forward

    def run(per_s: float) -> Run:
        return Run(100, per_s, per_s, per_s / 2, 0.0, 0)

    rounds = [
        Round(run(30), Forward(30, 20), Forward(50, 30), run(5)),  # 30 of 40; 15 of 25
        Round(run(20), Forward(25, 20), Forward(25, 20), run(2)),
        Round(run(5), Forward(10, 10), Forward(10, 10), run(1)),
    ]
    figures = figures_of(rounds)
    assert figures["listings_per_s"] == 20
    assert figures["share_of_forward"] == 0.75
    assert (figures["share_of_forward_least"], figures["share_of_forward_most"]) == (0.5, 0.8)
    assert figures["share_of_forward_by_cpu"] == 0.5
    assert figures["times_plain_worker"] == 6


def test_a_swap_is_judged_by_the_slowest_listing_around_it() -> None:
    from benchmarks.peers.answers import Answers
    from benchmarks.suggesting.swap import AFTER_S, swap_of

    answers = Answers(
        sent={"warm-0": 0.0, "timed-0": 10.0, "timed-1": 11.0, "timed-2": 13.0, "timed-3": 19.0},
        took={"warm-0": 9.0, "timed-0": 0.5, "timed-1": 1.0, "timed-2": 0.75, "timed-3": 5.0},
    )
    # Announced at 11.75: the second listing is answered at 12, the fourth long after.
    found = swap_of(answers, announced=11.75, answered=13.0)
    assert (found.took_s, found.worst_before_s, found.worst_during_s) == (1.25, 0.5, 1.0)
    assert found.stall_s == 0.5
    assert 13.75 <= 13.0 + AFTER_S < 24


def test_workers_are_timed_and_killed_on_a_real_broker(
    red_bundle: Path, figures_of: Callable[..., dict[str, Any]]
) -> None:
    figures = figures_of(
        "serving.py",
        *("--bundle", str(red_bundle), "--market", "12"),
        *("--part", "latency", "--load", "20", "--seconds", "2"),
        *("--part", "swap", "--part", "memory", "--memory-listings", "300"),
        *("--part", "kills", "--kills", "1"),
    )
    assert figures["half_load_listings"] == 40
    assert 0 < figures["p50_s_half_load"] <= figures["p99_s_half_load"]
    assert figures["swap_took_s"] > 0
    stall = figures["worst_s_during_swap"] - figures["worst_s_before_swap"]
    assert figures["swap_stall_s"] == pytest.approx(max(0, stall), abs=0.002)
    assert figures["peak_mb"] > 0
    assert figures["kills_listings"] == 500
    assert (figures["kills"], figures["lost"], figures["doubled"]) == (1, 0, 0)
