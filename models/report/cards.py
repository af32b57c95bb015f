"""One listing as the page shows it: a small photo, what was answered, what it sold for."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from models.errors import UnreadableImageError
from models.images.decode import decode_image
from models.images.limits import DEFAULT_LIMITS
from models.report.subject import Item
from schemas.dataset import CATEGORY_SEPARATOR
from schemas.money import Money

Element = TypeVar("Element")

THUMBNAIL_PX = 256
_JPEG_QUALITY = 72


@dataclass(frozen=True, slots=True)
class Card:
    """What the page says of one listing; texts are as they came, the page escapes them.

    `photo` is a `data:` URI, None where no photo can be read. `off` says how far the estimate is
    from the sold price. `reason` is why a better photo was asked for, empty where it was not.
    """

    title: str
    category: str
    photo: str | None
    estimate: str | None
    span: str
    sold: str | None
    off: str
    reason: str


def card(item: Item, currency: str) -> Card:
    """Return what the page says of a listing, with prices in the bundle's currency."""
    row, prediction = item.row, item.prediction
    estimate, sold = prediction.estimate, item.sold_minor
    return Card(
        title=row.title or row.listing_id,
        category=_end(row.category) if row.category else "category not known",
        photo=next(filter(None, map(thumbnail, row.images)), None),
        estimate=money(estimate.price_minor, currency) if estimate else None,
        span=span(estimate.low_minor, estimate.high_minor, currency) if estimate else "",
        sold=money(sold, currency) if sold is not None else None,
        off=percent_off(estimate.price_minor, sold) if estimate and sold is not None else "",
        reason=prediction.reason.value if prediction.reason is not None else "",
    )


def _end(category: str) -> str:
    """Keep the last two levels of a category path, which say most."""
    return CATEGORY_SEPARATOR.join(category.split(CATEGORY_SEPARATOR)[-2:])


def money(minor: int, currency: str) -> str:
    """Write an amount for people, such as `1,250.00 GBP`."""
    return str(Money(amount_minor=minor, currency=currency))


def span(low_minor: int, high_minor: int, currency: str) -> str:
    """Write a range for people, such as `8.50 to 1,250.00 GBP`."""
    low = Money(amount_minor=low_minor, currency=currency).to_decimal()
    return f"{low:,f} to {money(high_minor, currency)}"


def percent_off(suggested_minor: int, sold_minor: int) -> str:
    """Say how far a suggestion is from what the thing sold for, such as `+12 %`."""
    return f"{round(100 * (suggested_minor / sold_minor - 1)):+,d} %"


def thumbnail(path: Path) -> str | None:
    """Return a small copy of a photo, without its metadata; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            image = decode_image(file.read(DEFAULT_LIMITS.max_bytes + 1))
    except (OSError, UnreadableImageError):
        return None
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    small = BytesIO()
    image.save(small, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(small.getvalue()).decode()


def spread(elements: Sequence[Element], number: int) -> list[Element]:
    """Return so many of them, evenly over their order: a sample that nobody picked."""
    if len(elements) <= number:
        return list(elements)
    return [elements[at * len(elements) // number] for at in range(number)]
