"""What a dataset holds once it is read: listings, sales, and the rows that were set aside."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ListingRow:
    """One listing. `None`, `()` and `{}` mean "not known".

    `images` are absolute paths inside the dataset folder, the main photo first; a file that
    is not there is kept, for whoever opens it to judge. `price_minor` is what the row says, in
    minor units, neither cleaned nor above zero for sure. Times are in UTC.
    """

    listing_id: str
    seller_id: str | None
    category: str | None
    images: tuple[Path, ...]
    price_minor: int | None
    currency: str | None
    listed_at: datetime | None
    sold_at: datetime | None
    brand: str | None
    attributes: tuple[str, ...]
    specifications: Mapping[str, str]
    title: str | None


@dataclass(frozen=True, slots=True)
class SaleRow:
    """One sale, or its reversal: then `reversed` is true and `sold_at` is when it was taken back.

    `price_minor` is never negative, in minor units, and not cleaned (0 occurs). The same
    transaction may occur more than once, in any order.
    """

    transaction_id: str
    listing_id: str
    seller_id: str | None
    category: str | None
    price_minor: int
    currency: str
    sold_at: datetime
    reversed: bool


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A row that was not taken: file name, line where it begins (from 1), and why."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset folder, read. `currency` is the one of rows that name none."""

    name: str
    currency: str | None
    folder: Path
    listings: list[ListingRow]
    sales: list[SaleRow]
    skipped: list[SkippedRow]
