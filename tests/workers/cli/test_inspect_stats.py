"""`secondsight inspect stats` on stores that are open for writing, against plain lists."""

import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.partitioner import partition_for
from schemas.sale import ItemSold, SaleReversed
from stats_store.backend.options import RocksDBOptions
from stats_store.store import PartitionStore
from workers.cli import main

PARTITIONS = 3
SELLERS = [f"seller {number}" for number in range(9)]
SOLD_AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


@dataclass
class Filled:
    """Data folder, its open stores, and the prices that are in them."""

    folder: Path
    stores: dict[int, PartitionStore] = field(default_factory=dict)
    prices: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))

    def sell(self, number: int, seller: str, currency: str, category: str, price: int) -> int:
        partition = partition_for(seller.encode(), PARTITIONS)
        if partition in self.stores:
            self.stores[partition].apply_sale(
                ItemSold(
                    transaction_id=f"t{number}",
                    listing_id=f"l{number}",
                    seller_id=seller,
                    category=category,
                    price_minor=price,
                    currency=currency,
                    sold_at=SOLD_AT,
                )
            )
            for name in (seller, category, "all"):
                self.prices[name, currency].append(price)
        return partition

    def commit(self) -> None:
        for store in self.stores.values():
            store.set_position("transactions", 4_321)
            store.commit(store.changelog_position + len(store.changes()))


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Filled]:
    """Partitions 0 and 2 of three; prices below 256, which histograms keep exactly."""
    made = Filled(tmp_path)
    for partition in (0, 2):
        made.stores[partition] = PartitionStore.open(
            tmp_path / "stats" / str(partition), partition, options=RocksDBOptions()
        )
    draw = random.Random(7)
    for number in range(600):
        currency = draw.choice(["GBP", "GBP", "JPY"])
        category = draw.choice(["A > B", "C"])
        made.sell(number, draw.choice(SELLERS), currency, category, draw.randrange(1, 256))
    made.commit()
    yield made
    for store in made.stores.values():
        store.close()


def home(seller: str) -> int:
    return partition_for(seller.encode(), PARTITIONS)


def inspect(capsys: pytest.CaptureFixture[str], filled: Filled, *arguments: str) -> Any:
    capsys.readouterr()
    given = ["inspect", "stats", "--data-dir", str(filled.folder), *arguments]
    code = main.run(given)
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out) if "--json" in arguments else out


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--seller", SELLERS[0]], SELLERS[0]),
        (["--category", "A > B"], "A > B"),
        (["--global"], "all"),
    ],
)
def test_numbers_are_those_of_the_prices(
    arguments: list[str], name: str, filled: Filled, capsys: pytest.CaptureFixture[str]
) -> None:
    assert home(SELLERS[0]) in filled.stores
    shown = inspect(capsys, filled, *arguments, "--json")
    assert [each["currency"] for each in shown["statistics"]] == ["GBP", "JPY"]
    for each in shown["statistics"]:
        prices = sorted(filled.prices[name, each["currency"]])
        ranks = [-(-len(prices) * quarter // 4) for quarter in (1, 2, 3)]
        assert each["count"] == len(prices)
        assert each["sum"] == sum(prices)
        assert [each["q1"], each["q2"], each["q3"]] == [prices[rank - 1] for rank in ranks]
        assert abs(each["mean"] - sum(prices) / len(prices)) <= 0.5
        assert [price for low, _, count in each["buckets"] for price in [low] * count] == prices
    partitions = [age["partition"] for age in shown["statistics"][0]["state"]]
    assert partitions == ([home(SELLERS[0])] if name == SELLERS[0] else [0, 2])
    assert shown["statistics"][0]["state"][0]["positions"] == {"transactions": 4_321}
    assert shown["partitions_not_here"] == [1]


def test_one_currency_may_be_asked_for(filled: Filled, capsys: pytest.CaptureFixture[str]) -> None:
    shown = inspect(capsys, filled, "--global", "--currency", "JPY", "--json")
    assert [each["currency"] for each in shown["statistics"]] == ["JPY"]


def test_the_page_for_people_names_everything_and_is_as_wide_as_it_may_be(
    filled: Filled, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    out = inspect(capsys, filled, "--global", "--currency", "JPY", "--partitions", "5")
    prices = filled.prices["all", "JPY"]
    lines = out.splitlines()
    assert lines[0] == f"all sales, JPY: {len(prices)} sales"
    assert f"  sum            {sum(prices):,}" in lines
    bars = [line for line in lines if "│" in line]
    assert sum(int(line.split()[-1]) for line in bars) == len(prices)
    assert {len(line) for line in bars} == {72}
    assert sum(line.startswith(("partition 0: ", "partition 2: ")) for line in lines) == 2
    assert "read up to transactions 4,321; changelog " in out
    assert lines[-1] == "not counted: of the partitions, 1, 3, 4 are not in this folder"


def test_an_output_without_blocks_is_drawn_in_ascii(filled: Filled) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "workers.cli.main", "inspect", "stats", "--global"),
            *("--data-dir", str(filled.folder)),
        ],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "#" in done.stdout


def test_what_is_not_committed_is_not_shown_and_what_is_is(
    filled: Filled, capsys: pytest.CaptureFixture[str]
) -> None:
    def count() -> int:
        shown = inspect(capsys, filled, "--seller", SELLERS[0], "--currency", "GBP", "--json")
        return int(shown["statistics"][0]["count"])

    before = count()
    filled.sell(1_000, SELLERS[0], "GBP", "C", 7)
    assert count() == before
    filled.commit()
    assert count() == before + 1


def test_the_sales_of_a_listing(filled: Filled, capsys: pytest.CaptureFixture[str]) -> None:
    store = filled.stores[home(SELLERS[0])]
    filled.sell(2_000, SELLERS[0], "GBP", "C", 12_345)
    store.apply_reversal(
        SaleReversed(
            transaction_id="t2000", listing_id="l2000", seller_id=SELLERS[0], reversed_at=SOLD_AT
        )
    )
    store.apply_reversal(
        SaleReversed(
            transaction_id="never", listing_id="l2000", seller_id=SELLERS[0], reversed_at=SOLD_AT
        )
    )
    filled.commit()
    parked, sold = inspect(capsys, filled, "--listing", "l2000", "--json")["sales"]
    assert (parked["state"], parked["price_minor"]) == ("parked", None)
    assert sold == {
        "state": "reversed",
        "at": "2026-03-01T12:30:00Z",
        "price_minor": 12_345,
        "currency": "GBP",
        "seller_id": SELLERS[0],
        "category": "C",
        "partition": home(SELLERS[0]),
    }
    text = inspect(capsys, filled, "--listing", "l2000")
    assert f"taken back  123.45 GBP  seller {SELLERS[0]}  in C" in text


@pytest.mark.parametrize(
    "arguments", [["--seller", "nobody\x1b[2J"], ["--category", "D"], ["--listing", "l"]]
)
def test_what_was_never_sold_has_no_sales(
    arguments: list[str], filled: Filled, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = inspect(capsys, filled, *arguments).splitlines()
    assert first.endswith(": no sales")
    assert "\x1b" not in first
    assert "1 is not in this folder" in second


def test_a_seller_of_a_partition_that_is_elsewhere_is_no_seller_without_sales(
    filled: Filled, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = next(seller for seller in SELLERS if home(seller) == 1)
    arguments = ["--seller", elsewhere, "--partitions", str(PARTITIONS)]
    assert main.run(["inspect", "stats", "--data-dir", str(filled.folder), *arguments]) == 1
    err = capsys.readouterr().err
    assert f"{elsewhere!r} lies in partition 1 of 3" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--seller", ""],
        ["--seller", "a", "--global"],
        ["--listing", "a", "--category", "b"],
        ["--global", "--currency", "POUNDS"],
        ["--global", "--partitions", "0"],
    ],
)
def test_wrong_usage(
    arguments: list[str], filled: Filled, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["inspect", "stats", "--data-dir", str(filled.folder), *arguments]) == 2
    assert "Usage: secondsight inspect stats" in capsys.readouterr().err


def test_a_folder_without_statistics_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(folder: Path) -> str:
        assert main.run(["inspect", "stats", "--data-dir", str(folder), "--global"]) == 3
        err = capsys.readouterr().err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    assert "holds no statistics" in refused(tmp_path / "none")
    (tmp_path / "stats" / "0").mkdir(parents=True)
    assert "not a store of statistics" in refused(tmp_path)
    (tmp_path / "stats" / "0").rmdir()
    foreign = PartitionStore.open(tmp_path / "stats" / "0", 5, options=RocksDBOptions())
    try:
        assert "partition 5, not 0" in refused(tmp_path)
    finally:
        foreign.close()


def test_no_temporary_folder_stays(
    filled: Filled,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scratch = tmp_path_factory.mktemp("scratch")
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    inspect(capsys, filled, "--global")
    assert list(scratch.iterdir()) == []
