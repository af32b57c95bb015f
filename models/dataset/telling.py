"""When a sale became known: what a replay publishes by and training counts from."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from models.dataset.rows import SaleRow

MAX_LATE_SHARE = 0.1
"""A file with more late rows than this share is not in the order of telling, but in none."""


def with_telling(sales: Sequence[SaleRow]) -> Iterator[tuple[SaleRow, datetime]]:
    """Pair each sale with when it was told: the latest time in the file up to its row.

    A row with an earlier time than a row before it was told late. The stats worker, too, counts
    it after the sales before it, whatever its own time says.
    """
    late = 0
    latest = sales[0].sold_at if sales else None
    told: list[datetime] = []
    for sale in sales:
        late += latest is not None and sale.sold_at < latest
        latest = sale.sold_at if latest is None else max(latest, sale.sold_at)
        told.append(latest)
    if late > MAX_LATE_SHARE * len(sales):
        told = [sale.sold_at for sale in sales]
    return zip(sales, told, strict=True)
