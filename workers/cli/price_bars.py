"""A histogram of prices as lines of text: bars of block characters over bins of log price."""

from collections.abc import Sequence
from decimal import Decimal

from schemas.money import minor_unit_digits
from stats_store.summary import Bucket

_MOST_ROWS = 20
# Edges within a factor of ten, hundredfold: the preferred numbers of IEC 60063 (E24 to E3), which
# stand in nearly equal steps of log price and are short to write. The finest that gives few enough
# rows is taken.
_E24 = (
    "100 110 120 130 150 160 180 200 220 240 270 300 "
    "330 360 390 430 470 510 560 620 680 750 820 910"
)
_SERIES = [[int(number) for number in _E24.split()][:: 24 // steps] for steps in (24, 12, 6, 3, 1)]
_EIGHTHS = " ▏▎▍▌▋▊▉"
_LEAST_BAR = 10


def money(minor: int, currency: str) -> str:
    """Return an amount in whole units of its currency, with its decimals and without its name."""
    return f"{Decimal(minor).scaleb(-minor_unit_digits(currency)):,f}"


def price_bars(
    buckets: Sequence[Bucket], currency: str, *, width: int, blocks: bool = True
) -> list[str]:
    """Return one line for each bin of price: its edges, a bar, its count.

    A bin goes from its first edge up to, but not with, its second. A bucket that an edge cuts
    lies in the bin of its middle.

    Args:
        buckets: in order of price.
        currency: of the prices.
        width: columns that a line may have.
        blocks: False draws with `#` alone.
    """
    if not buckets:
        return []
    middles = [(bucket.lowest + bucket.highest + 1) // 2 for bucket in buckets]
    edges = _edges(middles[0], middles[-1])
    counts = [0] * (len(edges) - 1)
    place = 0
    for middle, bucket in zip(middles, buckets, strict=True):
        while middle >= edges[place + 1]:
            place += 1
        counts[place] += bucket.count
    names = [money(edge, currency) for edge in edges]
    numbers = [f"{count:,}" for count in counts]
    name, number = max(map(len, names)), max(map(len, numbers))
    longest = max(_LEAST_BAR, width - 2 * name - number - len(" -  | "))
    return [
        f"{low:>{name}} - {high:>{name}} {'│' if blocks else '|'}"
        f"{_bar(count / max(counts) * longest, count, blocks):<{longest}} {text:>{number}}"
        for low, high, count, text in zip(names, names[1:], counts, numbers, strict=False)
    ]


def _edges(lowest: int, highest: int) -> list[int]:
    """Return edges of which the first is at most `lowest` and the last above `highest`."""
    candidates = (_edges_of(series, lowest, highest) for series in _SERIES)
    return next(edges for edges in candidates if len(edges) - 1 <= _MOST_ROWS)


def _edges_of(series: Sequence[int], lowest: int, highest: int) -> list[int]:
    edges: list[int] = []
    decade = 1
    while not edges or edges[-1] <= highest:
        for step in series:
            edge = step * decade // 100
            if edge < 1 or edge * 100 != step * decade or edges[-1:] == [edge]:
                continue  # no whole number of minor units
            if edge <= lowest:
                edges = [edge]
            elif edges and edges[-1] <= highest:
                edges.append(edge)
        decade *= 10
    return edges


def _bar(length: float, count: int, blocks: bool) -> str:
    if not blocks:
        return "#" * max(round(length), 1 if count else 0)
    eighths = max(round(length * 8), 1 if count else 0)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()
