"""Reads a dataset folder (`schemas.dataset` has the format), with a report of what it skipped."""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar, cast

from models.dataset import cells
from models.dataset.rows import Dataset, ListingRow, SaleRow, SkippedRow
from models.errors import DatasetError
from schemas.dataset import LISTING_COLUMNS, SALE_COLUMNS

if TYPE_CHECKING:
    from _csv import Reader

Row = TypeVar("Row")

MAX_LINE_CHARACTERS = 128 * 1024  # as the csv module's limit of one field; bounds the memory
MAX_UNREADABLE_SHARE = 0.01
_SHOWN = 5  # rows named in the error; a file of another format would fill the screen


def read_dataset(folder: Path) -> Dataset:
    """Read `dataset.json`, `listings.csv` and `sales.csv` or `sales.csv.gz` of a folder.

    One of the two tables may be absent. A row that cannot be read is skipped and listed in
    `Dataset.skipped`, and so is a listing whose id was seen before.

    Raises:
        DatasetError: a file is missing, is not UTF-8, has NUL bytes, lacks a column or has
            broken quotes; more than 1 % of a table's rows cannot be read; there are no rows.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder")
    name, currency, announced = _read_description(folder)
    skipped: list[SkippedRow] = []
    listings: list[ListingRow] = []
    sales: list[SaleRow] = []

    listings_file = folder / "listings.csv"
    if listings_file.exists():
        rows = _read_table(
            listings_file, LISTING_COLUMNS, lambda row: _listing(row, folder, currency), skipped
        )
        listings = _without_repeats(rows, skipped)
    elif announced:
        raise DatasetError(f"{listings_file} is missing; dataset.json speaks of {announced} rows")

    sales_files = [path for path in _sales_files(folder) if path.exists()]
    if len(sales_files) > 1:
        raise DatasetError(f"{folder} has both sales.csv and sales.csv.gz: keep one of them")
    if sales_files:
        table = _read_table(sales_files[0], SALE_COLUMNS, lambda row: _sale(row, currency), skipped)
        sales = [sale for _, sale in table]

    if not listings_file.exists() and not sales_files:
        raise DatasetError(f"{folder} has neither listings.csv nor sales.csv")
    if not listings and not sales:
        raise DatasetError(f"{folder} has no rows")
    return Dataset(name, currency, folder, listings, sales, skipped)


def _sales_files(folder: Path) -> tuple[Path, Path]:
    return folder / "sales.csv", folder / "sales.csv.gz"


def _read_description(folder: Path) -> tuple[str, str | None, int]:
    path = folder / "dataset.json"
    try:
        description = json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise DatasetError(f"{path} is not JSON in UTF-8") from None
    if not isinstance(description, dict):
        raise DatasetError(f"{path} is not a JSON object")
    name = description.get("name")
    currency = description.get("currency")
    listings = description.get("listings", 0)
    if not isinstance(name, str) or not name:
        raise DatasetError(f"{path}: name must be a text")
    if currency is not None:
        try:
            currency = cells.currency(currency if isinstance(currency, str) else repr(currency))
        except ValueError as error:
            raise DatasetError(f"{path}: {error}") from None
    if not isinstance(listings, int):
        raise DatasetError(f"{path}: listings must be a whole number")
    return name, currency, listings


def _listing(row: dict[str, str], folder: Path, default_currency: str | None) -> ListingRow:
    currency = cells.currency(row["currency"]) or default_currency
    price = cells.price_minor(row["price"], currency)
    if price is not None and price < 0:
        raise ValueError(f"price {row['price']} is negative")
    return ListingRow(
        listing_id=cells.required("listing_id", cells.identifier("listing_id", row["listing_id"])),
        seller_id=cells.identifier("seller_id", row["seller_id"]),
        category=cells.category(row["category"]),
        images=cells.images(row["image"], folder),
        price_minor=price,
        currency=currency,
        listed_at=cells.time("listed_at", row["listed_at"]),
        sold_at=cells.time("sold_at", row["sold_at"]),
        brand=cells.text(row["brand"]),
        attributes=cells.values(row["attributes"]),
        specifications=cells.pairs(row["specifications"]),
        title=cells.text(row["title"]),
    )


def _sale(row: dict[str, str], default_currency: str | None) -> SaleRow:
    currency = cells.currency(row["currency"]) or default_currency
    price = cells.price_minor(row["price"], currency)
    sold_at = cells.time("sold_at", row["sold_at"])
    if price is None or currency is None:
        raise ValueError("price is missing")
    if sold_at is None:
        raise ValueError("sold_at is missing")
    return SaleRow(
        transaction_id=cells.required(
            "transaction_id", cells.identifier("transaction_id", row["transaction_id"])
        ),
        listing_id=cells.required("listing_id", cells.identifier("listing_id", row["listing_id"])),
        seller_id=cells.identifier("seller_id", row["seller_id"]),
        category=cells.category(row["category"]),
        price_minor=abs(price),
        currency=currency,
        sold_at=sold_at,
        reversed=price < 0,
    )


def _without_repeats(
    rows: list[tuple[int, ListingRow]], skipped: list[SkippedRow]
) -> list[ListingRow]:
    first_line: dict[str, int] = {}
    kept = []
    for line, listing in rows:
        earlier = first_line.setdefault(listing.listing_id, line)
        if earlier == line:
            kept.append(listing)
        else:
            reason = f"listing_id {listing.listing_id!r} was in line {earlier} already"
            skipped.append(SkippedRow("listings.csv", line, reason))
    return kept


def _read_table(
    path: Path,
    columns: Sequence[str],
    parse: Callable[[dict[str, str]], Row],
    skipped: list[SkippedRow],
) -> list[tuple[int, Row]]:
    taken: list[tuple[int, Row]] = []
    unreadable: list[SkippedRow] = []
    try:
        with _open_text(path) as stream:
            reader = csv.reader(_lines(stream, path), strict=True)
            header = _header(reader, path, columns)
            for line, values in _numbered(reader, path):
                try:
                    if isinstance(values, csv.Error):
                        raise ValueError(f"broken quotes: {values}")
                    if len(values) != len(header):
                        raise ValueError(f"{len(values)} columns, {len(header)} expected")
                    taken.append((line, parse(dict(zip(header, values, strict=True)))))
                except ValueError as error:
                    unreadable.append(SkippedRow(path.name, line, str(error)))
    except UnicodeDecodeError:
        raise DatasetError(f"{path} is not UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from None
    total = len(taken) + len(unreadable)
    if len(unreadable) > MAX_UNREADABLE_SHARE * total:
        raise DatasetError(
            f"{path}: {len(unreadable)} of {total} rows cannot be read, more than "
            f"{MAX_UNREADABLE_SHARE:.0%}; " + "; ".join(map(str, unreadable[:_SHOWN]))
        )
    skipped.extend(unreadable)
    return taken


def _open_text(path: Path) -> TextIO:
    # utf-8-sig: spreadsheets write a byte order mark
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


def _lines(stream: TextIO, path: Path) -> Iterator[str]:
    number = 0
    while line := stream.readline(MAX_LINE_CHARACTERS):
        number += 1
        if len(line) == MAX_LINE_CHARACTERS:
            raise DatasetError(
                f"{path}, line {number} is longer than {MAX_LINE_CHARACTERS} characters"
            )
        if "\0" in line:
            raise DatasetError(f"{path}, line {number} has a NUL byte: this is not a text file")
        yield line


def _header(reader: Iterator[list[str]], path: Path, columns: Sequence[str]) -> list[str]:
    try:
        header = [column.strip() for column in next(reader, [])]
    except csv.Error as error:
        raise DatasetError(f"{path}: the header cannot be read: {error}") from None
    missing = [column for column in columns if column not in header]
    if missing:
        raise DatasetError(f"{path} lacks the columns {', '.join(missing)}")
    if len(set(header)) != len(header):
        raise DatasetError(f"{path} names a column twice")
    return header


def _numbered(reader: "Reader", path: Path) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Yield each row with the line it begins on; an error where one line cannot be split."""
    while True:
        first_line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # A quote that swallowed more lines took other rows with it: nobody can say which.
            if reader.line_num > first_line:
                raise DatasetError(
                    f"{path}: a quote opened in line {first_line} is not closed as it should be "
                    f"up to line {reader.line_num} ({error})"
                ) from None
            yield first_line, error
            continue
        if values:  # an empty line is no row
            yield first_line, values
