"""What the page is made of: sections with sentences, pictures, cards and tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.report.cards import Card


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure: an image as a `data:` URI, and what it shows for who cannot see it."""

    uri: str
    caption: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column names the rows; the header may be empty."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the page, in this order: title, lead, pictures, cards, tables, further parts.

    `lead` says in one or two sentences what there is to see, or why there is nothing.
    """

    anchor: str
    title: str
    lead: str
    pictures: Sequence[Picture] = ()
    cards: Sequence[Card] = ()
    tables: Sequence[Table] = ()
    parts: Sequence["Section"] = ()


def percent(share: float | None) -> str:
    """Write a share for people, such as `45.3 %`; a dash where it is not known."""
    return "–" if share is None else f"{100 * share:.1f} %"


def number(value: float | None) -> str:
    """Write a measure with three decimals; a dash where it is not known."""
    return "–" if value is None else f"{value:.3f}"
