"""The histogram in the terminal against a count of the prices themselves."""

import random
from collections import Counter
from decimal import Decimal
from itertools import pairwise

import pytest

from stats_store.histogram import PriceHistogram
from stats_store.summary import Bucket, buckets_of
from workers.cli.price_bars import money, price_bars


def bars(prices: list[int], currency: str = "GBP", **options: object) -> list[str]:
    histogram = PriceHistogram()
    histogram.add_many(prices)
    return price_bars(buckets_of(histogram), currency, **({"width": 80} | options))  # type: ignore[arg-type]


def read(line: str, sign: str = "│") -> tuple[Decimal, Decimal, str, int]:
    edges, _, rest = line.partition(sign)
    low, high = (Decimal(edge.strip().replace(",", "")) for edge in edges.split(" - "))
    bar, _, count = rest.rpartition(" ")
    return low, high, bar.strip(), int(count.replace(",", ""))


@pytest.mark.parametrize("spread", [0.02, 0.3, 1.0, 3.0, 8.0])
def test_every_price_is_counted_in_the_bin_between_whose_edges_it_lies(spread: float) -> None:
    draw = random.Random(spread)
    prices = [min(10**15, max(1, round(draw.lognormvariate(4, spread)))) for _ in range(3_000)]
    prices = [price if price < 256 else price // 256 * 256 for price in prices]
    rows = [read(line) for line in bars(prices, "JPY")]
    assert len(rows) <= 20
    assert all(before[1] == after[0] for before, after in pairwise(rows))
    assert rows[0][0] <= min(prices) < rows[0][1]
    assert rows[-1][0] <= max(prices) < rows[-1][1]
    for low, high, _, count in rows:
        # Exact below 256; above, what lies within half a bucket of an edge may be on either side.
        slack = [Decimal(1), Decimal(1)] if high <= 256 else [Decimal("0.992"), Decimal("1.008")]
        sure = sum(low * slack[1] <= price < high * slack[0] for price in prices)
        at_most = sum(low * slack[0] <= price < high * slack[1] for price in prices)
        assert sure <= count <= at_most
    assert sum(row[3] for row in rows) == len(prices)


def test_bars_are_as_long_as_their_counts_to_an_eighth_of_a_column() -> None:
    counts = Counter({100: 64, 200: 32, 400: 1})
    rows = [read(line) for line in bars(list(counts.elements()), "JPY")]
    eighths = {low: 8 * len(bar) for low, _, bar, count in rows if count == 64}
    (full,) = eighths.values()
    by_count = {count: bar for _, _, bar, count in rows if count}
    assert set(by_count[64]) == {"█"}
    for count in (32, 1):
        bar = by_count[count]
        drawn = 8 * bar.count("█") + " ▏▎▍▌▋▊▉█".index(bar[-1]) % 8
        assert abs(drawn - full * count / 64) <= 0.5
    assert all(bar == "" for _, _, bar, count in rows if not count)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_lines_are_as_wide_as_the_terminal(width: int) -> None:
    lines = bars([100, 5_000, 20_000, 20_000], width=width)
    assert {len(line) for line in lines} == {width}


def test_without_blocks_it_is_ascii_and_a_single_sale_still_shows() -> None:
    lines = bars([100] + [50_000] * 10_000, blocks=False)
    assert "".join(lines).isascii()
    assert lines[0].count("#") == 1
    assert lines[-1].count("#") > 20


def test_one_price_is_one_line_and_none_is_no_line() -> None:
    (line,) = bars([1], "KWD")
    assert read(line)[0] == Decimal("0.001")
    assert bars([]) == []
    widest = price_bars([Bucket(1, 1, 1), Bucket(10**15, 10**15, 1)], "GBP", width=80)
    assert len(widest) <= 20


def test_money_has_the_decimals_of_its_currency() -> None:
    assert money(123_456, "GBP") == "1,234.56"
    assert money(123_456, "JPY") == "123,456"
    assert money(5, "KWD") == "0.005"
