"""Dated sales as the examples that they would have left, with statistics of the days before.

In the real datasets the day of a sale is true and its time of day is not, and nobody knows when a
thing was listed. So each sale is priced at the start of the day on which it is sold: all sales of
the days before have been counted by the real store, none of the same day.
"""

import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from models.dataset.reader import read_dataset
from schemas.sale import ItemSold, SaleReversed
from stats_store.backend.options import RocksDBOptions
from stats_store.features import statistics_of
from stats_store.rules import Rules
from stats_store.store import PartitionStore
from workers.examples.example import Decision, Example, Outcome
from workers.replay.timeline import timeline

_BATCH = 1_000  # sales to a commit; what is not committed is held in memory


def dated_sales(folder: Path) -> list[ItemSold]:
    """Return the sales of a dataset in the order of time, each once.

    A seller who is not known is one of his own for each listing. What was taken back is left out.

    Raises:
        DatasetError: it cannot be read.
    """
    dataset = read_dataset(folder)
    skipped: list[str] = []
    events = [told.event for told in timeline(dataset, on_skip=skipped.append)]
    set_aside = len(dataset.skipped) + len(skipped)
    print(f"{dataset.name}: {set_aside} rows cannot be used", file=sys.stderr)
    taken_back = {_id(event) for event in events if isinstance(event, SaleReversed)}
    found: dict[tuple[str, str], ItemSold] = {}
    for event in events:
        if isinstance(event, ItemSold) and _id(event) not in taken_back:
            found.setdefault(_id(event), event)
    return sorted(found.values(), key=lambda sale: sale.sold_at)


def served(sales: Sequence[ItemSold], window_days: int) -> list[Example]:
    """Return each sale as an example with the statistics that it would have been served with.

    Args:
        sales: by time, each once.
        window_days: statistics are of so many days; 0: of all time.
    """
    rules = Rules(window_days=window_days)
    examples: list[Example] = []
    applied = 0
    with TemporaryDirectory(prefix="secondsight-drift-") as folder:
        store = PartitionStore.open(Path(folder) / "0", 0, options=RocksDBOptions(), rules=rules)
        for _, same_day in groupby(sales, key=lambda sale: sale.sold_at.date()):
            of_day = list(same_day)
            examples += [_example(sale, store) for sale in of_day]
            for sale in of_day:
                store.apply_sale(sale)
                applied += 1
                if applied % _BATCH == 0:
                    store.changes()
                    store.commit(applied)
        store.close()
    return examples


def _id(event: ItemSold | SaleReversed) -> tuple[str, str]:
    return event.listing_id, event.transaction_id


def _example(sale: ItemSold, store: PartitionStore) -> Example:
    histograms = store.listing_histograms(
        listing_id=sale.listing_id,
        seller_id=sale.seller_id,
        category=sale.category,
        currency=sale.currency,
    )
    return Example(
        listing_id=sale.listing_id,
        revision=3,
        known_at=sale.sold_at,
        seller_id=sale.seller_id,
        category=sale.category,
        currency=sale.currency,
        images=(),
        listed_at=sale.sold_at,
        statistics=statistics_of(*histograms, sale.currency),
        decision=Decision.PRICE,
        outcome=Outcome.SOLD,
        sold_minor=sale.price_minor,
        transaction_id=sale.transaction_id,
        sold_at=sale.sold_at,
    )
