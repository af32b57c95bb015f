"""The demo's page: photos, suggestions and requests for better photos, in one file."""

import base64
import math
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.errors import UnreadableImageError
from models.images.decode import decode_image
from models.images.limits import DEFAULT_LIMITS
from schemas.money import Money
from schemas.suggestion import PriceSuggested, ReuploadRequested
from workers.demo.outcomes import Outcome

Item = TypeVar("Item")

THUMBNAIL_PX = 260
JPEG_QUALITY = 78
PRICED_CARDS = 40
REUPLOAD_CARDS = 15


@dataclass(frozen=True, slots=True)
class Bar:
    """Places on the bar of a suggestion in percent of its width, on a scale of log price."""

    low: float
    high: float
    price: float
    sold: float | None


@dataclass(frozen=True, slots=True)
class Card:
    """One listing as the page shows it; texts are as they came and are escaped by the page."""

    title: str
    category: str
    photo: str | None
    price: str | None = None
    span: str = ""
    sold: str | None = None
    off: str = ""
    bar: Bar | None = None
    reason: str = ""
    hint: str = ""


def write_page(
    path: Path,
    outcomes: Sequence[Outcome],
    *,
    dataset: str,
    facts: Sequence[tuple[str, str]],
    reasons: Mapping[str, int],
    problems: Sequence[str],
) -> None:
    """Write the page; it needs no other file and no network, and has no script.

    Args:
        path: the file.
        outcomes: all answered listings; some of them are shown.
        dataset: its name.
        facts: figures with their names.
        reasons: how many requests for better photos there were, by leading reason.
        problems: what the check found wrong.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    priced = [item for item in outcomes if isinstance(item.answer, PriceSuggested)]
    sold = [item for item in priced if item.sold_minor is not None]
    asked = [item for item in outcomes if isinstance(item.answer, ReuploadRequested)]
    text = environment.get_template("page.html.j2").render(
        dataset=dataset,
        facts=facts,
        reasons=sorted(reasons.items(), key=lambda pair: -pair[1]),
        problems=problems,
        priced=[card(item) for item in spread(sold or priced, PRICED_CARDS)],
        reuploads=[card(item) for item in _each_reason(asked, REUPLOAD_CARDS)],
    )
    path.write_text(text, encoding="utf-8")


def spread(items: Sequence[Item], number: int) -> list[Item]:
    """Return so many of them, evenly over their order."""
    if len(items) <= number:
        return list(items)
    return [items[index * len(items) // number] for index in range(number)]


def card(outcome: Outcome) -> Card:
    """Return what the page says of a listing."""
    listing, answer = outcome.listing, outcome.answer
    title = listing.title or listing.listing_id
    photo = thumbnail(listing.images[0].uri)
    if isinstance(answer, ReuploadRequested):
        return Card(
            title,
            listing.category,
            photo,
            reason=answer.reasons[0].code.value.replace("_", " "),
            hint=answer.reasons[0].hint,
        )
    sold = outcome.sold_minor
    return Card(
        title,
        listing.category,
        photo,
        price=money(answer.price_minor, answer.currency),
        span=f"{money(answer.low_minor, answer.currency)} to "
        f"{money(answer.high_minor, answer.currency)}",
        sold=money(sold, answer.currency) if sold is not None else None,
        off=percent_off(answer.price_minor, sold),
        bar=bar(answer, sold),
    )


def money(minor: int, currency: str) -> str:
    """Write an amount for people, such as `12.50 GBP`."""
    return str(Money(amount_minor=minor, currency=currency))


def percent_off(suggested: int, sold: int | None) -> str:
    """Say how far a suggestion was from what the thing sold for, such as `+12 %`."""
    if sold is None:
        return ""
    percent = 100 * (suggested / sold - 1)
    return f"{percent:+.0f} %" if percent < 1000 else "> 1000 %"


def bar(answer: PriceSuggested, sold: int | None) -> Bar:
    """Return where the range, the price and the sold price lie on a bar that holds them all."""
    prices = [answer.low_minor, answer.high_minor, *([sold] if sold is not None else [])]
    left, right = math.log(min(prices) / 1.2), math.log(max(prices) * 1.2)

    def place(price: int) -> float:
        return round(100 * (math.log(price) - left) / (right - left), 2)

    return Bar(
        low=place(answer.low_minor),
        high=place(answer.high_minor),
        price=place(answer.price_minor),
        sold=place(sold) if sold is not None else None,
    )


def thumbnail(uri: str) -> str | None:
    """Return a small copy of a photo as a `data:` URI; None where there is no readable photo."""
    try:
        image = decode_image(_bytes_of(uri), DEFAULT_LIMITS)
    except (OSError, ValueError, UnreadableImageError):
        return None
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    small = BytesIO()
    image.save(small, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(small.getvalue()).decode()


def _bytes_of(uri: str) -> bytes:
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme == "file":
        return Path(urllib.request.url2pathname(parts.path)).read_bytes()
    if parts.scheme == "data":
        return base64.b64decode(uri.partition("base64,")[2], validate=True)
    raise ValueError(f"a photo at {parts.scheme}: is not fetched for the page")


def _each_reason(asked: Sequence[Outcome], number: int) -> list[Outcome]:
    """Return so many requests, of every reason some."""
    by_reason: dict[str, list[Outcome]] = {}
    for item in asked:
        if isinstance(item.answer, ReuploadRequested):
            by_reason.setdefault(item.answer.reasons[0].code.value, []).append(item)
    chosen: list[Outcome] = []
    for row in range(number):
        chosen += [items[row] for items in by_reason.values() if row < len(items)]
    return chosen[:number]
