"""`secondsight inspect stats` beside a worker that is at work, on a real broker."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from workers.cli import main

MakeSystem = Callable[[int], Any]


def test_a_live_workers_statistics_are_shown_and_it_goes_on(
    make_system: MakeSystem, events: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    system = make_system(2)
    worker = system.start()

    def inspect(*arguments: str) -> Any:
        capsys.readouterr()
        data = str(system.folder / "data")
        code = main.run(["inspect", "stats", "--json", "--data-dir", data, *arguments])
        out, err = capsys.readouterr()
        if code == 3 and "holds no statistics" in err:
            return []  # the worker has not made its stores
        assert code == 0, err
        return json.loads(out)["statistics"]

    prices: dict[str, list[int]] = {"ann": [], "bob": [], "cid": []}
    for turn in range(2):
        for number in range(90):
            seller = ("ann", "bob", "cid")[number % 3]
            prices[seller].append(1 + number + 100 * turn)
        first = turn * 100
        system.publish(
            "transactions",
            *(
                events.sale(
                    first + number,
                    first + number,
                    1 + number + 100 * turn,
                    seller=("ann", "bob", "cid")[number % 3],
                    category="one",
                )
                for number in range(90)
            ),
        )
        # By their times they come after all sales of their partitions: once they are written, those
        # are counted; the state on disk follows the transaction at once.
        system.publish(
            "listing.created",
            *(events.listing(f"{turn} {s}", first + 99, seller=s) for s in prices),
        )
        system.enriched(3 * (turn + 1))
        deadline = time.monotonic() + 60
        while (shown := inspect("--global"))[:1] == [] or shown[0]["count"] < 90 * (turn + 1):
            assert time.monotonic() < deadline, shown
        (ann,) = inspect("--seller", "ann")
        assert (ann["count"], ann["sum"]) == (len(prices["ann"]), sum(prices["ann"]))
        (one,) = inspect("--category", "one")
        everything = sorted(price for each in prices.values() for price in each)
        assert (one["count"], one["sum"]) == (len(everything), sum(everything))
        assert [low for low, _, count in one["buckets"] for _ in range(count)] == everything
        assert one["state"][0]["positions"].keys() == {"transactions", "listing.created"}
    assert worker.running
    assert worker.stop() == 0
