"""More partitions for a system that has sales: the log is replayed into topics that have them.

The way that docs/operating.md describes, with the commands it names, on a real broker.
"""

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from schemas.partitioner import partition_for
from workers.cli import main

MakeSystem = Callable[[int], Any]
BEFORE, AFTER = 2, 5
SELLERS = [f"seller {number}" for number in range(12)]
DEADLINE_S = 90.0


def secondsight(kafka: str, prefix: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workers.cli.main", *arguments],
        env=os.environ
        | {
            "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": kafka,
            "SECONDSIGHT_TOPIC_PREFIX": prefix,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


Inspect = Callable[..., dict[str, Any]]


@pytest.fixture
def inspected(capsys: pytest.CaptureFixture[str]) -> Inspect:
    """`inspected(folder, *arguments)`: count, sum, buckets; zeros where there are no sales yet."""

    def inspect(folder: Path, *arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        code = main.run(["inspect", "stats", "--json", "--data-dir", str(folder), *arguments])
        out, err = capsys.readouterr()
        if code == 3:  # the worker has not made its stores
            return {}
        assert code == 0, err
        statistics: list[dict[str, Any]] = json.loads(out)["statistics"]
        shown = statistics[0] if statistics else {}
        return {name: shown.get(name, 0) for name in ("count", "sum", "buckets")}

    return inspect


def wait_for(inspected: Inspect, folder: Path, expected: list[int]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while (shown := inspected(folder, "--global")).get("sum") != sum(expected):
        assert time.monotonic() < deadline, (shown, sum(expected))
    assert shown["count"] == len(expected)


def test_sellers_move_with_all_they_sold_and_with_the_memory_of_it(
    make_system: MakeSystem,
    inspected: Inspect,
    events: Any,
    kafka: str,
    produce: Callable[..., None],
    read_all: Callable[..., list[Message]],
    tmp_path: Path,
) -> None:
    old = make_system(BEFORE)
    prices: dict[str, dict[int, int]] = defaultdict(dict)

    def sale(number: int) -> dict[str, Any]:
        seller, price = SELLERS[number % 12], 1 + number * 7 % 255
        prices[seller][number] = price
        made: dict[str, Any] = events.sale(number, number, price, seller=seller, category="one")
        return made

    def refund(number: int, second: int) -> dict[str, Any]:
        prices[SELLERS[number % 12]].pop(number, None)
        made: dict[str, Any] = events.reversal(number, second, seller=SELLERS[number % 12])
        return made

    def everything() -> list[int]:
        return [price for of_seller in prices.values() for price in of_seller.values()]

    sales = [sale(number) for number in range(240)]
    refunds = [refund(number, 300 + number) for number in range(0, 240, 9)]
    early = [refund(number, 600) for number in (500, 501)]  # before their sales
    old.publish("transactions", *sales, *sales[:30], *refunds, *early)
    worker = old.start("old")
    wait_for(inspected, tmp_path / "old", everything())
    assert worker.stop() == 0

    log, prefix = tmp_path / "sales.jsonl.gz", f"{old.prefix}more."
    secondsight(kafka, old.prefix, "record", "--out", str(log), "--topics", "transactions")
    new = type(old)(
        kafka=kafka,
        prefix=prefix,
        folder=tmp_path,
        produce=produce,
        read_all=read_all,
        partitions=AFTER,
    )
    secondsight(kafka, prefix, "replay", str(log))
    worker = new.start("new")
    try:
        wait_for(inspected, tmp_path / "new", everything())
        moved = 0
        questions = [("--seller", seller) for seller in SELLERS]
        for question in (*questions, ("--category", "one"), ("--global",)):
            shown = inspected(tmp_path / "new", *question)
            assert shown == inspected(tmp_path / "old", *question)
            if question[0] == "--seller":
                assert shown["count"] == len(prices[question[1]])
                places = [partition_for(question[1].encode(), n) for n in (BEFORE, AFTER)]
                moved += places[0] != places[1]
        assert moved > 3

        # What was known before the move is known after it: sales again, their refunds (one of
        # them again, too), and the sales whose refunds came first.
        again = [refund(number, 700 + number) for number in range(0, 240, 7)]
        annulled = [sale(number) for number in (500, 501)]
        for number in (500, 501):
            prices[SELLERS[number % 12]].pop(number)
        later = [sale(number) for number in range(800, 848)]
        new.publish("transactions", *sales[100:160], *again, *annulled, *later)
        wait_for(inspected, tmp_path / "new", everything())
        for seller in SELLERS:
            shown = inspected(tmp_path / "new", "--seller", seller)
            listed = [low for low, _, count in shown["buckets"] for _ in range(count)]
            assert listed == sorted(prices[seller].values())
        assert worker.stop() == 0
    finally:
        if worker.running:
            worker.kill()
