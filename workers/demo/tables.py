"""What the demo prints for people at the end."""

import textwrap
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from schemas.money import Money
from schemas.suggestion import PriceSuggested
from workers.demo.outcomes import Outcome, reasons
from workers.demo.page import percent_off, spread
from workers.demo.run import DemoResult

ROWS = 12
_TITLE_CHARACTERS = 26  # so that a row fits into 80 columns


def suggestions_table(outcomes: Sequence[Outcome]) -> Table:
    """Return a dozen suggestions beside what the things sold for."""
    sold = [item for item in outcomes if item.sold_minor is not None]
    currency = outcomes[0].listing.currency if outcomes else ""
    table = Table(title=f"Some suggestions, in {currency}", title_justify="left")
    table.add_column("listing")  # the only one that may be narrowed where the terminal is narrow
    for heading in ("suggested", "range", "sold for", "off by"):
        table.add_column(heading, justify="right", no_wrap=True)
    for item in spread([item for item in sold if isinstance(item.answer, PriceSuggested)], ROWS):
        answer = item.answer
        if isinstance(answer, PriceSuggested) and item.sold_minor is not None:
            title = item.listing.title or item.listing.listing_id
            table.add_row(
                escape(textwrap.shorten(title, _TITLE_CHARACTERS, placeholder=" …")),
                _amount(answer.price_minor, currency),
                f"{_amount(answer.low_minor, currency)} - {_amount(answer.high_minor, currency)}",
                _amount(item.sold_minor, currency),
                percent_off(answer.price_minor, item.sold_minor),
            )
    return table


def reasons_table(outcomes: Sequence[Outcome]) -> Table:
    """Return how often a better photo was asked for, by leading reason."""
    table = Table(title="Requests for better photos", title_justify="left")
    table.add_column("reason")
    table.add_column("listings", justify="right")
    for reason, count in reasons(outcomes).most_common():
        table.add_row(reason, str(count))
    return table


def facts(result: DemoResult) -> list[tuple[str, str]]:
    """Return the figures that the page shows, each with its name."""
    verdict, found = result.verdict, result.figures
    return [
        ("listings streamed", f"{verdict.listings:,}"),
        ("sales published", f"{verdict.transactions:,}"),
        ("priced", f"{verdict.suggested:,}"),
        ("better photo asked", f"{verdict.reuploaded:,}"),
        ("set aside", f"{verdict.dead_lettered:,}"),
        ("lost", f"{verdict.lost:,}"),
        ("answered twice", f"{verdict.doubled:,}"),
        ("statistics recounted", f"{verdict.statistics_checked:,}"),
        ("of these wrong", f"{verdict.statistics_wrong:,}"),
        ("priced and sold", f"{found.scored:,}"),
        ("mean log error", _number(found.male)),
        ("within 20 %", _share(found.within_20)),
        ("sold within range", _share(found.within_range)),
        ("R² of log price", _number(found.r2)),
    ]


def _amount(minor: int, currency: str) -> str:
    amount = Money(amount_minor=minor, currency=currency).to_decimal()
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:,f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
