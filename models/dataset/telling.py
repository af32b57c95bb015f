"""In what order the sales of a dataset became known: so a replay publishes and training counts."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from operator import itemgetter

from models.dataset.rows import Dataset, SaleRow

MAX_LATE_SHARE = 0.1
"""A file with more late rows than this share is not in the order of telling, but in none."""


def told_sales(dataset: Dataset) -> list[tuple[SaleRow, datetime]]:
    """Pair each sale with when it was told, in the order of telling.

    That is the latest time in the file up to its row: a row with an earlier time than a row
    before it was told late. The stats worker, too, counts it after the sales before it, whatever
    its own time says.

    A sale without seller or category has those of its listing.
    """
    listings = {row.listing_id: row for row in dataset.listings}
    sales = []
    for sale in dataset.sales:
        listing = listings.get(sale.listing_id)
        if listing is not None and (sale.seller_id is None or sale.category is None):
            sale = replace(
                sale,
                seller_id=sale.seller_id or listing.seller_id,
                category=sale.category or listing.category,
            )
        sales.append(sale)
    return sorted(zip(sales, _moments(sales), strict=True), key=itemgetter(1))


def _moments(sales: Sequence[SaleRow]) -> list[datetime]:
    late = 0
    told: list[datetime] = []
    for sale in sales:
        latest = told[-1] if told else sale.sold_at
        late += sale.sold_at < latest
        told.append(max(latest, sale.sold_at))
    if late > MAX_LATE_SHARE * len(sales):
        return [sale.sold_at for sale in sales]
    return told
