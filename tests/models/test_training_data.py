"""What training is given: parts without look-alikes, prices cut by limits of the training part."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from models.dataset.photos import ListingPhotos
from models.dataset.rows import Dataset, ListingRow
from models.errors import DatasetError
from models.training_data import TrainingData, check_prices, prepare_training

COUNT = 200
START = datetime(2026, 1, 1, tzinfo=UTC)


def listing(number: int, price_minor: int | None, *, timed: bool) -> ListingRow:
    return ListingRow(
        listing_id=f"l{number}",
        seller_id=None,
        category="c",
        images=(Path(f"{number}.jpg"),),
        price_minor=price_minor,
        currency="GBP",
        listed_at=START + timedelta(hours=number) if timed else None,
        sold_at=None,
        brand=None,
        attributes=(),
        specifications={},
        title=None,
    )


def market(*, timed: bool) -> tuple[Dataset, ListingPhotos]:
    """Every tenth price is a penny, every twentieth missing; the last photos repeat the first."""
    rng = np.random.default_rng(0)
    prices: list[int | None] = [int(price) for price in np.exp(rng.normal(8, 0.5, COUNT))]
    prices[::10] = [1] * len(prices[::10])
    prices[5::20] = [None] * len(prices[5::20])
    hashes = [int(value) for value in rng.integers(0, 2**64, COUNT, dtype=np.uint64)]
    for number in range(5):
        hashes[-1 - number] = hashes[number] ^ 0b1111 << number
    photos = ListingPhotos(
        features=rng.normal(size=(COUNT, 3)).astype(np.float32),
        readable=np.ones(COUNT, np.bool_),
        sound=np.arange(COUNT) % 50 != 7,
        reasons=[None] * COUNT,
        digests=[(f"sha of {number}",) for number in range(COUNT)],
        faultless=[(Path(f"{number}.jpg"),) for number in range(COUNT)],
        hashes=[(value,) for value in hashes],
    )
    listings = [listing(number, price, timed=timed) for number, price in enumerate(prices)]
    return Dataset("some", "GBP", Path("some"), listings, [], []), photos


def prepared(*, timed: bool) -> TrainingData:
    dataset, photos = market(timed=timed)
    return prepare_training(dataset, dataset.listings, photos, seed=1)


@pytest.mark.parametrize("seed", range(5))
def test_photos_that_look_alike_are_of_one_part(seed: int) -> None:
    dataset, photos = market(timed=False)
    split = prepare_training(dataset, dataset.listings, photos, seed=seed).split
    parts = [set(items.tolist()) for items in (split.train, split.validation, split.test)]
    for number in range(5):
        assert any({number, COUNT - 1 - number} <= part for part in parts)


def test_with_times_the_repeats_are_left_out() -> None:
    split = prepared(timed=True).split
    assert split.left_out.tolist() == list(range(COUNT - 5, COUNT))
    assert split.train.tolist() == list(range(150))


@pytest.mark.parametrize("timed", [False, True])
def test_what_is_cut_of_each_part(timed: bool) -> None:
    data = prepared(timed=timed)
    split = data.split
    for name, part in zip(
        ("train", "validation", "test"), (split.train, split.validation, split.test), strict=True
    ):
        prices = [data.listings[item].price_minor for item in part]
        known = [price for price in prices if price is not None]
        cut = data.cuts[name]
        assert (cut.listings, cut.priced) == (len(part), len(known))
        assert cut.cut_low == sum(price < data.limits.low_minor for price in known)
        assert cut.cut_high == sum(price > data.limits.high_minor for price in known)
    assert data.limits.low_minor > 1


def test_prices_before_and_after_the_cut() -> None:
    data = prepared(timed=False)
    for item, row in enumerate(data.listings):
        if row.price_minor is None:
            assert np.isnan(data.prices[item])
        else:
            assert data.prices[item] == row.price_minor / 100
    usable = [
        item for item, row in enumerate(data.listings) if data.limits.contain(row.price_minor)
    ]
    expected = set(usable) - {7, 57, 107, 157}  # no photo of these is sound
    assert set(np.flatnonzero(np.isfinite(data.log_prices)).tolist()) == expected
    np.testing.assert_allclose(
        data.log_prices[sorted(expected)], np.log(data.prices[sorted(expected)]), rtol=1e-6
    )
    assert set(data.train.tolist()) == expected & set(data.split.train.tolist())


def test_one_feature_that_is_no_number_is_refused_wherever_it_is() -> None:
    dataset, photos = market(timed=True)
    photos.features[-1, 2] = np.nan
    with pytest.raises(DatasetError, match="not finite"):
        prepare_training(dataset, dataset.listings, photos, seed=0)


def test_prices_are_checked_of_the_listings_that_are_used() -> None:
    dataset, _ = market(timed=False)
    assert check_prices(dataset, dataset.listings) == "GBP"
    priced = [row for row in dataset.listings if row.price_minor]
    few = [*priced[:49], dataset.listings[5]]
    with pytest.raises(DatasetError, match="49 of 50 listings have a price"):
        check_prices(dataset, few)
    same = [replace(row, price_minor=row.price_minor and 7) for row in dataset.listings]
    with pytest.raises(DatasetError, match="all prices are the same"):
        check_prices(dataset, same)


def test_without_times_no_listing_sees_its_seller_in_any_part() -> None:
    dataset, photos = market(timed=False)
    listings = [
        replace(row, seller_id=f"s{number // 4}") for number, row in enumerate(dataset.listings)
    ]
    data = prepare_training(replace(dataset, listings=listings), listings, photos, seed=1)
    for part in (data.train, data.validation, data.split.test):
        assert {data.statistics[item].seller.count for item in part} == {0}
    assert data.statistics[data.train[0]].category.count > 0
