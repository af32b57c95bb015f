"""From a dataset to the numbers that the joint training takes: split, cleaned, with statistics."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.bundle.manifest import DataWindow
from models.bundle.snapshot import SalesSnapshot
from models.dataset.cleaning import PriceCut, PriceLimits, rational_limits
from models.dataset.photos import ListingPhotos
from models.dataset.rows import Dataset, ListingRow
from models.dataset.splits import Indices, Split, has_times, split_listings
from models.dataset.statistics import (
    KnownSale,
    SalesHistograms,
    as_of_listing,
    known_sales,
    out_of_fold,
)
from models.errors import DatasetError
from models.joint.inputs import Rows, category_vocabulary, input_rows
from schemas.money import minor_unit_digits
from schemas.statistics import Statistics

MIN_TRAINING = 40
MIN_VALIDATION = 10
FOLDS = 5  # of the training part, where there are no times; see docs/decisions/0033


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The parts of a dataset, ready for training.

    Attributes:
        listings: `[N]` all listings.
        photos: what was found in their photos.
        currency: of all prices.
        split: the three parts, over all listings.
        train: the listings of the training part that are trained on: with a sound photo and a
            rational price.
        validation: the same of the validation part.
        limits: the rational prices, found on the training part.
        cuts: what they cut of the `train`, `validation` and `test` part of the split.
        statistics: `[N]`, as serving would have sent them; never of their own sale.
        vocabulary: levels of category paths that have a column.
        rows: raw input `[N, width]`.
        prices: float64 `[N]`, in whole units, NaN where there is none above zero.
        log_prices: `[N]` natural log of the price, NaN where it is not rational or no photo is
            sound.
        snapshot: histograms of what was sold.
        sales: how many sales the statistics are from.
        window: from the first listing or sale to the last.
    """

    listings: Sequence[ListingRow]
    photos: ListingPhotos
    currency: str
    split: Split
    train: Indices
    validation: Indices
    limits: PriceLimits
    cuts: dict[str, PriceCut]
    statistics: list[Statistics]
    vocabulary: tuple[str, ...]
    rows: Rows
    prices: npt.NDArray[np.float64]
    log_prices: Rows
    snapshot: SalesSnapshot
    sales: int
    window: DataWindow | None


@dataclass(frozen=True, slots=True)
class ServedStatistics:
    """Statistics that were recorded when listings were served; they are never computed anew.

    Attributes:
        statistics: `[N]`, of each listing.
        snapshot: histograms of what was sold, for the bundle.
        window: from the first listing or sale to the last.
    """

    statistics: Sequence[Statistics]
    snapshot: SalesSnapshot
    window: DataWindow


def check_prices(dataset: Dataset, listings: Sequence[ListingRow]) -> str:
    """Return the currency of a dataset's prices; asked before any photo is looked at.

    Args:
        dataset: of which no two prices above zero may be in two currencies.
        listings: those to use, of the dataset.

    Raises:
        DatasetError: there are none above zero, or too few, all are the same, or they are in
            several currencies.
    """
    currency = _currency_of(dataset)
    prices = [row.price_minor for row in listings if row.price_minor and row.currency == currency]
    if len(prices) < MIN_TRAINING + MIN_VALIDATION:
        raise DatasetError(
            f"{dataset.folder}: {len(prices)} of {len(listings)} listings have a price: at least "
            f"{MIN_TRAINING} to train on and {MIN_VALIDATION} to validate with are needed"
        )
    if len(set(prices)) == 1:
        raise DatasetError(f"{dataset.folder}: all prices are the same: there is nothing to learn")
    return currency


def _currency_of(dataset: Dataset) -> str:
    found = {row.currency for row in dataset.listings if row.price_minor and row.currency}
    if not found:
        raise DatasetError(f"{dataset.folder} has no listing with a price: nothing to learn from")
    if len(found) > 1:
        raise DatasetError(
            f"{dataset.folder} has prices in {', '.join(sorted(found))}: a bundle prices in one "
            "currency, so make one dataset of each"
        )
    return found.pop()


def prepare_training(
    dataset: Dataset,
    listings: Sequence[ListingRow],
    photos: ListingPhotos,
    *,
    seed: int,
    served: ServedStatistics | None = None,
) -> TrainingData:
    """Split, clean and describe listings.

    Args:
        dataset: for its sales.
        listings: those to use, of the dataset.
        photos: what was found in their photos.
        seed: of the random split and folds.
        served: statistics as the listings were served with; then the dataset's sales play no
            part.

    Raises:
        DatasetError: there is too little to learn from; the message says what.
    """
    currency = check_prices(dataset, listings)
    if not photos.readable.any():
        raise DatasetError(f"{dataset.folder}: not one photo can be read")
    if not np.isfinite(photos.features).all():
        raise DatasetError(
            f"{dataset.folder}: image features are not finite: the weights of the image network "
            "or the cached features are damaged"
        )
    split = split_listings(listings, photos.keys(), seed=seed)
    prices = [row.price_minor if row.currency == currency else None for row in listings]
    of_training = [price for item in split.train if (price := prices[item]) is not None]
    if not any(of_training):
        raise DatasetError(f"{dataset.folder}: no listing of the training part has a price")
    limits = rational_limits(of_training)
    usable = photos.sound & np.array([limits.contain(price) for price in prices])
    train, validation = (part[usable[part]] for part in (split.train, split.validation))
    if len(train) < MIN_TRAINING or len(validation) < MIN_VALIDATION:
        raise DatasetError(
            f"{dataset.folder}: {len(train)} listings to train on and {len(validation)} to "
            f"validate with have a sound photo, seen in no other part, and a rational price; at "
            f"least {MIN_TRAINING} and {MIN_VALIDATION} are needed"
        )
    whole = _whole_units(prices, currency)
    log_prices = np.where(usable, np.log(whole), np.nan).astype(np.float32)
    if np.ptp(log_prices[train]) == 0:
        raise DatasetError(
            f"{dataset.folder}: all rational prices of the training part are the same: there is "
            "nothing to learn"
        )

    if served is not None:
        statistics, snapshot = list(served.statistics), served.snapshot
        counted = snapshot.overall.count
        window: DataWindow | None = served.window
    else:
        sales = known_sales(dataset, currency)
        statistics, snapshot, counted, window = _statistics(
            listings, sales, split.train, split.groups, currency, seed
        )
    categories = [row.category for row in listings]
    vocabulary = category_vocabulary(categories[item] for item in train)
    rows = input_rows(photos.features, statistics, categories, vocabulary)
    return TrainingData(
        listings=listings,
        photos=photos,
        currency=currency,
        split=split,
        train=train,
        validation=validation,
        limits=limits,
        cuts={
            name: PriceCut.of([prices[item] for item in part], limits)
            for name, part in (
                ("train", split.train),
                ("validation", split.validation),
                ("test", split.test),
            )
        },
        statistics=statistics,
        vocabulary=vocabulary,
        rows=rows,
        prices=whole,
        log_prices=log_prices,
        snapshot=snapshot,
        sales=counted,
        window=window,
    )


def _whole_units(prices: Sequence[int | None], currency: str) -> npt.NDArray[np.float64]:
    minor = np.array([price or np.nan for price in prices], dtype=np.float64)
    whole: npt.NDArray[np.float64] = minor / 10 ** minor_unit_digits(currency)
    return whole


def _statistics(
    listings: Sequence[ListingRow],
    sales: list[KnownSale],
    train: Indices,
    groups: Indices,
    currency: str,
    seed: int,
) -> tuple[list[Statistics], SalesSnapshot, int, DataWindow | None]:
    """Return the statistics of each listing, the snapshot for the bundle, its sales and window.

    With times: as of listing, and the snapshot is the state at the end. Without: what the
    training part sold, for the training part itself out of fold. The prices of the other parts
    are never in it, because they are what will be measured.
    """
    timed_sales = [sale for sale in sales if sale.moment is not None]
    histograms = SalesHistograms(currency)
    if has_times(listings) and timed_sales:
        statistics = as_of_listing(listings, timed_sales, histograms)
        moments = [sale.moment for sale in timed_sales if sale.moment is not None]
        moments += [row.listed_at for row in listings if row.listed_at is not None]
        window = DataWindow(start=min(moments), end=max(moments))
    else:
        ids = {listings[item].listing_id for item in train}
        sales = [sale for sale in sales if sale.listing_id in ids]
        for sale in sales:
            histograms.apply(sale)
        statistics = [histograms.statistics(row.seller_id, row.category) for row in listings]
        # a seller's listings are one fold, as they are one part: new listings see none of them
        fold_of = np.random.default_rng(seed).permutation(groups.max(initial=-1) + 1) % FOLDS
        folds = fold_of[groups[train]]
        of_train = out_of_fold([listings[item] for item in train], sales, currency, folds.tolist())
        for item, own in zip(train, of_train, strict=True):
            statistics[item] = own
        window = None
    snapshot = SalesSnapshot(currency, histograms.overall, histograms.categories)
    return statistics, snapshot, histograms.overall.count, window
