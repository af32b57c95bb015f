"""Examples in the form that training takes."""

from collections.abc import Sequence
from pathlib import Path

from models.bundle.manifest import DataWindow
from models.bundle.snapshot import SalesSnapshot
from models.dataset.rows import ListingRow
from models.training_data import ServedStatistics
from stats_store.histogram import PriceHistogram
from workers.examples.example import Example
from workers.retrain.window import is_sold


def to_row(example: Example, photos: tuple[Path, ...]) -> ListingRow:
    """Return a listing; its price is that of the sale, None where nothing stays sold.

    What was not sold, or was taken back, has no price, but counts among those of which a share
    is to be answered. Sold listings train the gate whether they were answered or refused.
    """
    sold = is_sold(example)
    return ListingRow(
        listing_id=example.listing_id,
        seller_id=example.seller_id,
        category=example.category,
        images=photos,
        price_minor=example.sold_minor if sold else None,
        currency=example.currency,
        listed_at=example.listed_at,
        sold_at=example.sold_at if sold else None,
        brand=example.brand,
        attributes=example.attributes,
        specifications=example.specifications,
        title=None,
    )


def served_statistics(examples: Sequence[Example], currency: str) -> ServedStatistics:
    """Return the statistics that examples, at least one, were served with.

    The snapshot is of what they sold for: in serving it only stands in where no sale at all is
    known yet.
    """
    snapshot = SalesSnapshot(currency)
    for example in examples:
        if is_sold(example) and example.sold_minor is not None:
            snapshot.overall.add(example.sold_minor)
            of_category = snapshot.categories.setdefault(example.category, PriceHistogram())
            of_category.add(example.sold_minor)
    moments = [example.listed_at for example in examples]
    moments += [each.sold_at for each in examples if is_sold(each) and each.sold_at is not None]
    return ServedStatistics(
        [example.statistics for example in examples],
        snapshot,
        DataWindow(start=min(moments), end=max(moments)),
    )
