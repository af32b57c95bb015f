"""The statistics that training sees: as of listing time, exactly what serving would have sent.

The live system (workers) merges sales and listings by time and answers a listing with the
histograms as they stand. Here the same histograms are replayed over a dataset.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from models.dataset.rows import Dataset, ListingRow
from models.dataset.telling import told_sales
from schemas.money import MAX_MINOR_UNITS
from schemas.statistics import Statistics
from stats_store.features import statistics_of
from stats_store.histogram import PriceHistogram


@dataclass(frozen=True, slots=True)
class KnownSale:
    """One sale, or its reversal, in the currency of the dataset.

    `moment` is when it became known, None where there are no times.
    """

    transaction_id: str
    listing_id: str
    seller_id: str | None
    category: str | None
    price_minor: int
    moment: datetime | None
    reversed: bool = False


def known_sales(dataset: Dataset, currency: str) -> list[KnownSale]:
    """Return the sales of a dataset in one currency, those of no possible price left out.

    They are the rows of `sales.csv` in the order of telling; where there are none, the listings'
    own prices, sold at their `sold_at` if they have it.

    As in the live system, what has no category, nor its listing one, is no sale; what was sold
    first under the ids of a sale is what was sold, in whatever currency; and a reversal takes
    back the sale of its ids, whatever amount and currency it names itself.
    """
    if dataset.sales:
        return list(_told_sales(dataset, currency))
    return [
        KnownSale(
            listing.listing_id,
            listing.listing_id,
            listing.seller_id,
            listing.category,
            listing.price_minor,
            listing.sold_at,
        )
        for listing in dataset.listings
        if listing.category is not None
        and listing.price_minor is not None
        and 1 <= listing.price_minor <= MAX_MINOR_UNITS
        and listing.currency == currency
    ]


def _told_sales(dataset: Dataset, currency: str) -> Iterator[KnownSale]:
    told = [
        (sale, told_at)
        for sale, told_at in told_sales(dataset)
        if sale.reversed or (sale.category is not None and 1 <= sale.price_minor <= MAX_MINOR_UNITS)
    ]
    currencies: dict[tuple[str, str], str] = {}  # of what was sold first, by listing, transaction
    for sale, _ in told:
        if not sale.reversed:
            currencies.setdefault((sale.listing_id, sale.transaction_id), sale.currency)
    for sale, told_at in told:
        ours = currencies.get((sale.listing_id, sale.transaction_id)) == currency
        if ours and (sale.reversed or sale.currency == currency):
            yield KnownSale(
                sale.transaction_id,
                sale.listing_id,
                sale.seller_id,
                sale.category,
                sale.price_minor,
                told_at,
                sale.reversed,
            )


@dataclass(slots=True)
class SalesHistograms:
    """Histograms of sold prices by seller, by category and over all, in one currency.

    A sale, named by listing and transaction, counts once however often it is seen; a reversal
    takes back what was sold, and one that comes before its sale cancels that sale.
    """

    currency: str
    overall: PriceHistogram = field(default_factory=PriceHistogram)
    categories: dict[str, PriceHistogram] = field(default_factory=dict)
    sellers: dict[str, PriceHistogram] = field(default_factory=dict)
    _sold: dict[str, dict[str, KnownSale]] = field(default_factory=dict)  # listing, transaction
    _reversed: set[tuple[str, str]] = field(default_factory=set)

    def apply(self, sale: KnownSale) -> None:
        """Count one sale, or take it back."""
        name = sale.listing_id, sale.transaction_id
        sold = self._sold.setdefault(sale.listing_id, {})
        if sale.reversed:
            if name not in self._reversed:
                self._reversed.add(name)
                if sale.transaction_id in sold:
                    self._take(sold[sale.transaction_id])
        elif sale.transaction_id not in sold:
            sold[sale.transaction_id] = sale
            if name not in self._reversed:
                self._put(sale)

    def _put(self, sale: KnownSale) -> None:
        for histogram in self._scopes(sale):
            histogram.add(sale.price_minor)

    def _take(self, sale: KnownSale) -> None:
        for histogram in self._scopes(sale):
            histogram.remove(sale.price_minor)

    def statistics(self, seller_id: str | None, category: str | None) -> Statistics:
        """Return the statistics of a listing as the histograms stand now."""
        return statistics_of(
            self.sellers.get(seller_id) if seller_id is not None else None,
            self.categories.get(category) if category is not None else None,
            self.overall,
            self.currency,
        )

    def statistics_for(self, listings: Sequence[ListingRow]) -> list[Statistics]:
        """Return the statistics of listings as they stand now without the sales of any of them."""
        own = [
            sale
            for listing in listings
            for transaction, sale in self._sold.get(listing.listing_id, {}).items()
            if (listing.listing_id, transaction) not in self._reversed
        ]
        for sale in own:
            self._take(sale)
        found = [self.statistics(row.seller_id, row.category) for row in listings]
        for sale in own:
            self._put(sale)
        return found

    def _scopes(self, sale: KnownSale) -> list[PriceHistogram]:
        histograms = [self.overall]
        if sale.category is not None:
            histograms.append(self.categories.setdefault(sale.category, PriceHistogram()))
        if sale.seller_id is not None:
            histograms.append(self.sellers.setdefault(sale.seller_id, PriceHistogram()))
        return histograms


def as_of_listing(
    listings: Sequence[ListingRow],
    sales: Iterable[KnownSale],
    histograms: SalesHistograms,
) -> list[Statistics]:
    """Return for each listing the statistics that serving would have seen when it was listed.

    Sales and listings are replayed in the order in which they became known; at one moment the
    listing comes first. So a listing sees the sales before it, none that was told later, and
    never its own.

    Args:
        listings: all with `listed_at`, in any order.
        sales: all with `moment`; those of one moment in the order of telling.
        histograms: what was sold before the replay; the sales are added to it.
    """
    timeline: list[tuple[datetime, int, int]] = []  # listings are 0, so first at one moment
    for item, listing in enumerate(listings):
        if listing.listed_at is None:
            raise ValueError(f"listing {listing.listing_id} has no time")
        timeline.append((listing.listed_at, 0, item))
    replayed = list(sales)
    timeline += [
        (sale.moment, 1, item) for item, sale in enumerate(replayed) if sale.moment is not None
    ]
    found: dict[int, Statistics] = {}
    for _, is_sale, item in sorted(timeline):
        if is_sale:
            histograms.apply(replayed[item])
        else:
            (found[item],) = histograms.statistics_for([listings[item]])
    return [found[item] for item in range(len(listings))]


def out_of_fold(
    listings: Sequence[ListingRow],
    sales: Iterable[KnownSale],
    currency: str,
    folds: Sequence[int],
) -> list[Statistics]:
    """Return for each listing the statistics over all sales but those of the listings of its fold.

    For datasets without times. If only the own sale were left out, the statistics would tell its
    price: the mean of all others falls as it rises. The sales of a fold are taken out of the
    histograms, which are exact to undo, and put back for the next fold.

    Args:
        listings: `[N]`.
        sales: all that were told.
        currency: of the sales.
        folds: `[N]` fold of each listing.
    """
    histograms = SalesHistograms(currency)
    for sale in sales:
        histograms.apply(sale)
    items_of: dict[int, list[int]] = {}
    for item, fold in enumerate(folds):
        items_of.setdefault(fold, []).append(item)
    found: dict[int, Statistics] = {}
    for items in items_of.values():
        of_fold = histograms.statistics_for([listings[item] for item in items])
        found.update(zip(items, of_fold, strict=True))
    return [found[item] for item in range(len(listings))]
