"""What `secondsight inspect stats` prints: lines for people, and the same as JSON."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import typer

from schemas.statistics import Scope
from stats_store.histogram import PriceHistogram
from stats_store.sales import SaleRecord, SaleState
from stats_store.summary import Summary, buckets_of
from workers.cli.price_bars import money, price_bars
from workers.stats.found import FoundStore, StateAge

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATES = {
    SaleState.SOLD: "sold",
    SaleState.NARROW: "sold, counted for its seller alone",
    SaleState.REVERSED: "taken back",
    SaleState.PARKED: "taken back before its sale is known",
}


@dataclass(frozen=True)
class Counted:
    """The sold prices in one currency, and how far the partitions have come that counted them."""

    currency: str
    histogram: PriceHistogram
    ages: Sequence[StateAge]


def echo(lines: Sequence[str]) -> None:
    """Print lines; control characters that came in with an id are replaced."""
    for line in lines:
        typer.echo("".join(each if each.isprintable() else "\ufffd" for each in line))


def counted_json(
    scope: Scope, name: str, counted: Sequence[Counted], missing: Sequence[int]
) -> dict[str, Any]:
    """Return statistics by currency; prices in minor units, buckets `[lowest, highest, count]`."""
    return {
        "scope": scope.value,
        "name": name,
        "statistics": [
            {
                "currency": each.currency,
                **asdict(Summary.of(each.histogram)),
                "buckets": [
                    [bucket.lowest, bucket.highest, bucket.count]
                    for bucket in buckets_of(each.histogram)
                ],
                "state": [asdict(age) | {"written_at": _text(age.written_at)} for age in each.ages],
            }
            for each in counted
        ],
        "partitions_not_here": list(missing),
    }


def counted_lines(
    scope: Scope, name: str, counted: Sequence[Counted], missing: Sequence[int]
) -> list[str]:
    """Return the numbers and a histogram for each currency."""
    title = "all sales" if scope is Scope.GLOBAL else f"{scope.value} {name}"
    if not counted:
        return [f"{title}: no sales", *_missing_lines(scope, missing)]
    width, blocks = shutil.get_terminal_size().columns, _draws_blocks()
    lines = []
    for each in counted:
        numbers = Summary.of(each.histogram)
        lines += [
            f"{title}, {each.currency}: {numbers.count:,} sale{'' if numbers.count == 1 else 's'}",
            *(
                f"  {label:<15}{money(amount or 0, each.currency)}"
                for label, amount in (
                    ("first quartile", numbers.q1),
                    ("median", numbers.q2),
                    ("third quartile", numbers.q3),
                    ("mean", numbers.mean),
                    ("sum", numbers.sum),
                )
            ),
            "",
            *price_bars(buckets_of(each.histogram), each.currency, width=width, blocks=blocks),
            "",
        ]
    ages = {age.partition: age for each in counted for age in each.ages}
    return [*lines, *map(_age_line, ages.values()), *_missing_lines(scope, missing)]


def sales_json(
    listing: str, sales: Sequence[tuple[FoundStore, SaleRecord]], missing: Sequence[int]
) -> dict[str, Any]:
    """Return what is remembered of a listing's sales; prices in minor units."""
    return {
        "listing": listing,
        "sales": [
            {
                "state": sale.state.name.lower(),
                "at": _text(_time(sale.at_ms)),
                "price_minor": sale.price_minor or None,
                "currency": sale.currency or None,
                "seller_id": sale.seller_id or None,
                "category": sale.category or None,
                "partition": found.store.partition,
            }
            for found, sale in sales
        ],
        "partitions_not_here": list(missing),
    }


def sales_lines(
    listing: str, sales: Sequence[tuple[FoundStore, SaleRecord]], missing: Sequence[int]
) -> list[str]:
    """Return one line for each remembered sale of a listing."""
    if not sales:
        return [f"listing {listing}: no sales", *_missing_lines(Scope.SELLER, missing)]
    lines = [f"listing {listing}: {len(sales)} remembered"]
    for found, sale in sales:
        line = f"  {_text(_time(sale.at_ms))}  {_STATES[sale.state]}"
        if sale.state is not SaleState.PARKED:
            line += (
                f"  {money(sale.price_minor, sale.currency)} {sale.currency}"
                f"  seller {sale.seller_id}  in {sale.category}"
            )
        lines.append(f"{line}  (partition {found.store.partition})")
    return lines


def _age_line(age: StateAge) -> str:
    ago = max(timedelta(), datetime.now(UTC) - age.written_at)
    positions = ", ".join(f"{topic} {at:,}" for topic, at in age.positions.items()) or "nothing yet"
    return (
        f"partition {age.partition}: read up to {positions}; changelog {age.changelog_position:,}; "
        f"last written {timedelta(seconds=int(ago.total_seconds()))} ago"
    )


def _missing_lines(scope: Scope, missing: Sequence[int]) -> list[str]:
    if not missing:
        return []
    numbers = f"{', '.join(map(str, missing))} {'is' if len(missing) == 1 else 'are'}"
    what = "looked at" if scope is Scope.SELLER else "counted"
    return [f"not {what}: of the partitions, {numbers} not in this folder"]


def _draws_blocks() -> bool:
    try:
        "█▏│".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _time(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)


def _text(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
