"""Which statistics an evaluated listing sees: never its own price, nor a later one."""

from collections.abc import Sequence

from models.bundle.folder import Bundle
from models.dataset.rows import Dataset
from models.dataset.statistics import KnownSale, SalesHistograms, as_of_listing, known_sales
from schemas.statistics import Statistics


def statistics_for(dataset: Dataset, bundle: Bundle) -> list[Statistics]:
    """Return the statistics of each listing of a dataset.

    A listing without a time sees the snapshot of the bundle: what was sold in training, and
    nothing of the dataset, whose prices are the answers. So does every listing of a dataset
    without timed sales.

    A listing with a time sees sales as of that time. If it was listed after the bundle's data
    end, it sees the snapshot and the sales since; else the snapshot holds what was sold after it,
    perhaps its own sale, so it sees the sales of the dataset alone, and none where there were
    none before it.
    """
    currency = bundle.manifest.currency
    sales = [sale for sale in known_sales(dataset, currency) if sale.moment is not None]
    window = bundle.manifest.source.window
    found = [bundle.snapshot.statistics(listing.category) for listing in dataset.listings]
    if not sales:
        return found
    before: list[int] = []
    after: list[int] = []
    for item, listing in enumerate(dataset.listings):
        if listing.listed_at is not None:
            late = window is not None and listing.listed_at > window.end
            (after if late else before).append(item)
    since = [sale for sale in sales if window and sale.moment and sale.moment > window.end]
    seeded = SalesHistograms(
        currency,
        bundle.snapshot.overall.copy(),
        {name: histogram.copy() for name, histogram in bundle.snapshot.categories.items()},
    )
    _replay(dataset, before, sales, SalesHistograms(currency), found)
    _replay(dataset, after, since, seeded, found)
    return found


def _replay(
    dataset: Dataset,
    items: Sequence[int],
    sales: Sequence[KnownSale],
    histograms: SalesHistograms,
    found: list[Statistics],
) -> None:
    listings = [dataset.listings[item] for item in items]
    for item, statistics in zip(items, as_of_listing(listings, sales, histograms), strict=True):
        found[item] = statistics
