"""The benchmark of the stats worker: what it recounts, and that it refuses a wrong count."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


def test_sales_are_recounted_by_hand() -> None:
    from benchmarks.peers.sales import Sales

    sales = Sales(np.array([7, 7, 8]), np.array([1, 2, 1]), np.array([300, 100, 301]))
    counted = sales.counted(3, scopes=("seller", "category", "global"))
    # 300 and 301 have nine bits: one is shifted out, and both lie in 128 + 150.
    assert counted["seller"] == {
        "seller-7": (2, 400, {278: 1, 100: 1}),
        "seller-8": (1, 301, {278: 1}),
    }
    assert counted["category"] == {
        "Category > 1": (2, 601, {278: 2}),
        "Category > 2": (1, 100, {100: 1}),
    }
    assert counted["global"] == {"GBP": (3, 701, {278: 2, 100: 1})}
    assert sales.counted(1, scopes=("global",)) == {"global": {"GBP": (1, 300, {278: 1})}}


@pytest.mark.parametrize(
    "wrong", [{}, {"a": (1, 5, {6: 1})}, {"a": (1, 5, {5: 1}), "b": (1, 5, {5: 1})}]
)
def test_a_peer_that_counted_otherwise_ends_the_run(
    wrong: dict[str, tuple[int, int, dict[int, int]]],
) -> None:
    from benchmarks.peers.checking import check

    right = {"seller": {"a": (1, 5, {5: 1})}}
    check("peer", lambda: right, right, scopes=("seller",))
    with pytest.raises(SystemExit, match="peer has counted wrongly: 1 of 1 keys of seller"):
        check("peer", lambda: {"seller": wrong}, right, scopes=("seller",))


def test_our_worker_is_measured_and_recounted_on_a_real_broker(
    figures_of: Callable[..., dict[str, Any]],
) -> None:
    figures = figures_of(
        *("stats.py", "--only", "ours"),
        *("--sales", "120000", "--sellers", "1000", "--bad", "0.01"),
    )
    assert figures["sales"] == 120_000
    assert min(figures["events_per_s"], figures["events_per_cpu_s"]) > 0
    assert figures["rate_with_bad_input"] > 0
