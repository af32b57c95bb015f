"""One cell of a dataset's table to one value. Every function raises ValueError with a reason."""

import re
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from schemas.base import Category, Id
from schemas.dataset import VALUE_SEPARATOR
from schemas.errors import CurrencyError
from schemas.money import MAX_MINOR_UNITS, minor_unit_digits

# Decimal alone would also take "1_000", digits of other scripts, "NaN" and "Infinity".
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_LONGEST_FILE_NAME = 255  # bytes; asking whether a longer one exists raises OSError
_ID: TypeAdapter[str] = TypeAdapter(Id)
_CATEGORY: TypeAdapter[str] = TypeAdapter(Category)


def text(cell: str) -> str | None:
    """Return the cell without outer blanks, None where nothing is left."""
    return cell.strip() or None


def identifier(column: str, cell: str) -> str | None:
    """Read an id as the contract allows it: printable, at most 128 characters."""
    return _checked(_ID, column, cell)


def category(cell: str) -> str | None:
    """Read a category path, ` > ` between its levels."""
    return _checked(_CATEGORY, "category", cell)


def _checked(adapter: TypeAdapter[str], column: str, cell: str) -> str | None:
    value = text(cell)
    if value is None:
        return None
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise ValueError(f"{column} {_short(value)}: {error.errors()[0]['msg']}") from None


def required(column: str, value: str | None) -> str:
    """Return the value, or complain that the column is empty."""
    if value is None:
        raise ValueError(f"{column} is missing")
    return value


def currency(cell: str) -> str | None:
    """Read an ISO 4217 currency code."""
    code = text(cell)
    if code is not None:
        try:
            minor_unit_digits(code)
        except CurrencyError as error:
            raise ValueError(str(error)) from None
    return code


def price_minor(cell: str, currency_code: str | None) -> int | None:
    """Read a price in whole units as signed minor units, half to even where it has more decimals.

    Zero and absurd values pass: cleaning is the trainer's business.
    """
    number = text(cell)
    if number is None:
        return None
    if not _NUMBER.fullmatch(number):
        raise ValueError(f"price {_short(number)} is not a number")
    if currency_code is None:
        raise ValueError("a price without a currency")
    digits = minor_unit_digits(currency_code)
    try:
        # quantize, unlike scaleb, does not round to the context's 28 digits first
        rounded = Decimal(number).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
    except InvalidOperation:
        raise ValueError(f"price {_short(number)} is too large") from None
    minor = int(rounded.scaleb(digits))
    if abs(minor) > MAX_MINOR_UNITS:
        raise ValueError(f"price {_short(number)} is too large")
    return minor


def time(column: str, cell: str) -> datetime | None:
    """Read an RFC 3339 time; one without a zone is refused. Returned in UTC."""
    moment = text(cell)
    if moment is None:
        return None
    try:
        parsed = datetime.fromisoformat(moment)
        in_utc = parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{column} {_short(moment)} is not a time") from None
    if parsed.tzinfo is None:
        raise ValueError(f"{column} {_short(moment)} has no time zone")
    return in_utc


def values(cell: str) -> tuple[str, ...]:
    """Read `;`-separated values, each once, in their order."""
    parts = (part.strip() for part in cell.split(VALUE_SEPARATOR))
    return tuple(dict.fromkeys(part for part in parts if part))


def pairs(cell: str) -> dict[str, str]:
    """Read `;`-separated key=value pairs; a key without a value is not known and left out."""
    found = {}
    for part in values(cell):
        key, separator, value = (piece.strip() for piece in part.partition("="))
        if not separator or not key:
            raise ValueError(f"specification {_short(part)} is not key=value")
        if value:
            found[key] = value
    return found


def images(cell: str, folder: Path) -> tuple[Path, ...]:
    """Read `;`-separated paths below `folder` (which is resolved), as absolute paths.

    A path may not leave the folder: not as an absolute one, not by `..`, not by a symbolic link.
    """
    found = []
    for name in values(cell):
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts:
            raise ValueError(f"image {_short(name)} leaves the folder")
        if any(len(part.encode()) > _LONGEST_FILE_NAME for part in relative.parts):
            raise ValueError(f"image {_short(name)} is not a usable path")
        try:
            path = (folder / relative).resolve()
        except (OSError, RuntimeError):  # RuntimeError: a loop of symbolic links
            raise ValueError(f"image {_short(name)} is not a usable path") from None
        if not path.is_relative_to(folder):
            raise ValueError(f"image {_short(name)} leaves the folder by a link")
        found.append(path)
    return tuple(found)


def _short(value: str) -> str:
    return repr(value if len(value) <= 80 else value[:77] + "...")
