"""Real drift: what statistics see of dated sales, medians by window, the loop and the script."""

import csv
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.dated.loop import MEDIAN, NEVER, RETRAINED, UNGATED, Loop
from benchmarks.dated.medians import median_errors
from benchmarks.dated.quarters import mean_by_quarter, quarter
from benchmarks.dated.sales import dated_sales, served
from schemas.dataset import SALE_COLUMNS
from schemas.sale import ItemSold
from schemas.statistics import Scope
from tests.benchmarks.conftest import ROOT

START = datetime(2020, 1, 1, tzinfo=UTC)


def sale(number: int, day: float, price: int, seller: str = "s", category: str = "c") -> ItemSold:
    return ItemSold(
        transaction_id=f"t{number}",
        listing_id=f"l{number}",
        seller_id=seller,
        category=category,
        price_minor=price,
        currency="USD",
        sold_at=START + timedelta(days=day),
    )


def made_sales(seed: int, *, days: int, a_day: int) -> list[ItemSold]:
    """Three categories whose prices fall to a half of e in the time, and twelve sellers."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(days * a_day):
        day = number / a_day
        category = int(rng.integers(3))
        log_price = 6 + category - 1.5 * day / days + rng.normal() * 0.1
        found.append(
            sale(number, day, round(math.exp(log_price)), f"s{rng.integers(12)}", f"c{category}")
        )
    return found


def write(folder: Path, rows: Sequence[Sequence[str]]) -> Path:
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps({"name": "made", "currency": "USD"}))
    with (folder / "sales.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([SALE_COLUMNS, *rows])
    return folder


def cells(sales: Sequence[ItemSold]) -> list[list[str]]:
    return [
        [
            each.transaction_id,
            each.listing_id,
            each.seller_id,
            each.category,
            f"{each.price_minor / 100:.2f}",
            "",
            each.sold_at.isoformat(),
        ]
        for each in sales
    ]


@pytest.mark.parametrize("window", [0, 5])
def test_a_sale_sees_what_was_sold_on_the_days_before_it(window: int) -> None:
    """Counted again from the sales themselves; a bucket of the histogram is 0.4 % wide."""
    sales = made_sales(1, days=20, a_day=15)
    for of, example in zip(sales, served(sales, window), strict=True):
        today = of.sold_at.date()
        before = [each for each in sales if each.sold_at.date() < today]
        if not before:
            assert example.statistics.overall.source is Scope.NONE
            continue
        last = max(each.sold_at.date() for each in before)
        since = last - timedelta(days=(window or 10_000) - 1)
        inside = [each for each in before if each.sold_at.date() >= since]
        of_category = [each.price_minor for each in inside if each.category == of.category]
        of_seller = [each.price_minor for each in inside if each.seller_id == of.seller_id]
        assert example.statistics.seller.count == len(of_seller)
        assert example.statistics.category.count == len(of_category)
        if of_category:
            median = statistics.median_low(of_category)
            assert example.statistics.category.q2 == pytest.approx(median, rel=0.004)
        assert (example.sold_minor, example.listed_at) == (of.price_minor, of.sold_at)


def test_a_median_of_a_window_is_told_from_one_of_all_time() -> None:
    """A sale a day at 100, from 1 March on at 400; the window of 7 days follows in four."""
    change = 60  # days: 31 in January, 29 in February
    sales = [sale(day, day, 10_000 if day < change else 40_000) for day in range(2 * change)]
    found = median_errors({window: served(sales, window) for window in (7, 0)})

    fall = math.log(4)
    # the median of 7 is 100 while at least 4 of the 7 sales before are; that of all goes by days
    wrong = {7: range(change, change + 4), 0: range(change, 2 * change)}
    assert found["sales"] == 119  # the first has nothing before it
    for window, days in wrong.items():
        figures = found["medians"]["7 days" if window else "all time"]
        assert figures["male"] == pytest.approx(len(days) * fall / 119, abs=0.01)
        in_march = sum(day < 91 for day in days)  # the first quarter has 91 days
        assert figures["by_quarter"]["2020-Q1"] == pytest.approx(in_march * fall / 90, abs=0.01)
        assert figures["by_quarter"]["2020-Q2"] == pytest.approx(
            (len(days) - in_march) * fall / 29, abs=0.01
        )
    assert found["over_all_time"]["all time"] == 1.0
    assert found["over_all_time"]["7 days"] == pytest.approx(4 / 60, abs=0.01)


def test_the_median_of_a_seller_is_measured_where_he_had_sold_before() -> None:
    """Two sellers of one category at 100 and 400: each knows his price, the category does not."""
    sales = [
        sale(day, day, (10_000, 40_000)[day % 2], f"s{day % 2}", f"c{day == 20}")
        for day in range(21)
    ]
    found = median_errors({window: served(sales, window) for window in (0, 1)})
    assert found["sales"] == 20
    assert found["sales_of_sellers_who_sold_before"] == 19
    all_time = found["medians"]["all time"]
    assert all_time["sellers_who_sold_before"]["male_of_seller"] == pytest.approx(0, abs=0.005)
    # after an odd number of sales the median of all is the cheap one, after an even one it is, too
    wrong = sum(day % 2 for day in range(2, 21))
    assert all_time["sellers_who_sold_before"]["male_of_category"] == pytest.approx(
        wrong * math.log(4) / 19, abs=0.005
    )
    assert all_time["category_not_in_window"] == 1 / 20
    # a day's window holds the other seller's sale alone
    yesterday = found["medians"]["1 days"]["sellers_who_sold_before"]
    assert yesterday["male_of_seller"] == pytest.approx(math.log(4), abs=0.005)


def test_quarters() -> None:
    moments = [datetime(2020, month, 28, tzinfo=UTC) for month in range(1, 13)]
    assert [quarter(moment) for moment in moments] == [
        f"2020-Q{number}" for number in (1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4)
    ]
    errors = np.array([1.0, 4.0, 3.0])
    found = mean_by_quarter(errors, np.array(["2021-Q1", "2020-Q4", "2021-Q1"]))
    assert list(found.items()) == [("2020-Q4", 4.0), ("2021-Q1", 2.0)]


def test_sales_are_read_once_in_time_without_what_was_taken_back(tmp_path: Path) -> None:
    rows = [
        ["t2", "l2", "", "c", "20", "", "2020-01-02T00:00:00Z"],
        ["t1", "l1", "s", "c", "10", "", "2020-01-01T00:00:00Z"],
        ["t1", "l1", "s", "c", "10", "", "2020-01-01T00:00:00Z"],
        ["t3", "l3", "s", "c", "30", "", "2020-01-03T00:00:00Z"],
        ["t3", "l3", "s", "c", "-30", "", "2020-01-04T00:00:00Z"],
    ]
    found = dated_sales(write(tmp_path / "made", rows))
    assert [(each.listing_id, each.price_minor) for each in found] == [("l1", 1000), ("l2", 2000)]
    assert found[1].seller_id not in {"", "s"}


def test_retraining_follows_prices_that_the_first_model_has_never_seen() -> None:
    """The medians here are of all time, so what has become of them has to be learnt."""
    sales = made_sales(2, days=60, a_day=40)
    examples = [each for each in served(sales, 0) if each.statistics.overall.count]
    found = Loop(examples, every=timedelta(days=16), seed=1).run()
    # the first fifth ends on day 12.8, or one day later as the first has no statistics
    measured = sum(
        each.listed_at - examples[0].listed_at >= timedelta(days=11.8) for each in examples
    )
    assert found["sales"] == pytest.approx(measured, abs=5)
    assert set(found["male"]) == {RETRAINED, NEVER, UNGATED, MEDIAN}
    assert sum(found["retrainings"].values()) == 2  # at 16 and 32 of the 47 days that are left
    assert found["retrainings"]["published"] >= 1
    assert found["retrained_over_never"] < 0.8
    assert found["retrained_over_never"] == pytest.approx(
        found["male"][RETRAINED] / found["male"][NEVER], abs=0.001
    )


def test_the_script_says_what_it_found(
    tmp_path: Path, figures_of: Callable[..., dict[str, Any]]
) -> None:
    folder = write(tmp_path / "made", cells(made_sales(3, days=50, a_day=30)))
    found = figures_of("real_drift.py", "--dataset", str(folder), "--every", "30")
    of_made = found["made"]
    assert (of_made["from"], of_made["to"]) == ("2020-01-01", "2020-02-19")
    assert set(of_made["loop"]) == {"30 days", "all time"}
    over = of_made["over_all_time"]
    assert over["7 days"] < over["30 days"] < over["90 days"] == over["all time"] == 1


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "benchmarks" / "real_drift.py"),
            "--dataset",
            str(tmp_path / "none"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert str(tmp_path / "none") in done.stderr
    assert not done.stdout
