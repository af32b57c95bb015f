"""A market whose noise is known: told by one photo column and by the category."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from models.dataset.photos import look_at_photos
from models.dataset.rows import Dataset, ListingRow
from models.extractors.protocol import Backbone
from models.joint.trainer import Plan
from models.training_data import TrainingData, prepare_training

CATEGORIES = ("Quiet > Cups", "Quiet > Chairs", "Noisy > Lamps", "Noisy > Art")


def listing(number: int, category: str | None, price: float) -> ListingRow:
    return ListingRow(
        listing_id=str(number),
        seller_id=None,
        category=category,
        images=(),
        price_minor=round(price * 100),
        currency="GBP",
        listed_at=None,
        sold_at=None,
        brand=None,
        attributes=(),
        specifications={},
        title=None,
    )


def synthetic(
    backbone: Backbone, *, count: int = 1200, width: int = 6, seed: int = 0
) -> TrainingData:
    """Photo column 0 says the price; above 0 in column 1, and in `Noisy`, it is off by more.

    The natural log of price is 4 plus 0.5 a category, plus the column, plus noise of a standard
    deviation of 0.1, 0.8 with one of the two and 1.5 with both. One listing in 20 has no category,
    and prices like those of `Quiet > Cups`; one in 15 has no sound photo.
    """
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(count, width)).astype(np.float32)
    kinds = rng.integers(len(CATEGORIES), size=count)
    nowhere = np.arange(count) % 20 == 0
    kinds[nowhere] = 0
    noise = np.where(columns[:, 1] > 0, 0.7, 0.0) + np.where(kinds >= 2, 0.7, 0.0) + 0.1
    prices = np.exp(4 + 0.5 * kinds + columns[:, 0] + noise * rng.normal(size=count))
    listings = [
        listing(item, None if nowhere[item] else CATEGORIES[kinds[item]], prices[item])
        for item in range(count)
    ]
    photos = replace(
        look_at_photos(listings, backbone),
        features=columns,
        readable=np.ones(count, np.bool_),
        sound=np.arange(count) % 15 != 0,
    )
    dataset = Dataset("synthetic", "GBP", Path("synthetic"), listings, [], [])
    return prepare_training(dataset, listings, photos, seed=seed)


@pytest.fixture(scope="session")
def make_market(backbone: Backbone) -> Callable[..., TrainingData]:
    return partial(synthetic, backbone)


@pytest.fixture(scope="session")
def market(make_market: Callable[..., TrainingData]) -> TrainingData:
    return make_market()


@pytest.fixture(scope="session")
def short() -> Plan:
    """A dozen epochs of small batches."""
    return Plan(
        epochs=(10, 3, 1, 1),
        batch_size=128,
        dropout=0.1,
        weight_decay=0.01,
        members=2,
        beta=None,
        keep_best=True,
    )
