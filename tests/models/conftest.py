"""A small market, a small image network, and a bundle trained on them, once for all tests."""

import csv
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.dataset.reader import read_dataset
from models.extractors.cache import FeatureCache
from models.extractors.preprocessing import Preprocessing
from models.extractors.protocol import Pixels
from models.joint.trainer import Plan
from models.training import Objective, train_bundle
from schemas.dataset import LISTING_COLUMNS


class ColourBackbone:
    """Mean colours of the four quarters of a photo: 12 features, no weights to load."""

    name = "colours"
    width = 12
    input_size = 32
    fingerprint = "colours-1"
    preprocessing = Preprocessing(
        size=32, mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0), resample="bilinear"
    )

    def preprocess(self, image: Image.Image) -> Pixels:
        return self.preprocessing(image)

    def build(self) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten()).eval()


@dataclass(frozen=True)
class Market:
    """Where a market lies, and what is true of it."""

    folder: Path
    prices: dict[str, float]


def photo(path: Path, red: int, seed: int) -> None:
    """A sharp chequerboard in one colour; how red it is tells the price."""
    rng = np.random.default_rng(seed)
    board = np.indices((96, 96)).sum(axis=0) // 8 % 2
    pixels = np.zeros((96, 96, 3), np.float64)
    pixels[..., 0] = red * (0.4 + 0.6 * board)
    pixels[..., 1] = 200 * (1 - board)
    pixels[..., 2] = 60
    noisy = np.clip(pixels + rng.normal(scale=4, size=pixels.shape), 0, 255)
    Image.fromarray(noisy.astype(np.uint8)).save(path, quality=90)


def write_market(
    folder: Path, *, count: int, seed: int, timed: bool, priced: bool = True
) -> Market:
    """Price: 10 to 100 by how red the photo is, twice as much in `Home > Big`, little noise."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows, prices = [], {}
    for number in range(count):
        name = f"images/{number}.jpg"
        red = int(rng.integers(40, 250))
        big = bool(rng.integers(2))
        photo(folder / name, red, seed * 10_000 + number)
        price = 10 * 10 ** ((red - 40) / 210) * (2 if big else 1) * np.exp(rng.normal() * 0.1)
        listing_id = f"{folder.name}-{number}"
        prices[listing_id] = round(float(price), 2)
        listed = start + timedelta(hours=number)
        rows.append(
            {
                "listing_id": listing_id,
                "seller_id": f"s{rng.integers(40)}" if timed else "",
                "category": "Home > Big" if big else "Home > Small",
                "image": name,
                "price": f"{prices[listing_id]:.2f}" if priced else "",
                "currency": "GBP",
                "listed_at": listed.isoformat() if timed else "",
                "sold_at": (listed + timedelta(hours=5)).isoformat() if timed else "",
            }
        )
    with (folder / "listings.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, LISTING_COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    description = {"name": folder.name, "currency": "GBP", "listings": count, "sales": 0}
    (folder / "dataset.json").write_text(json.dumps(description))
    return Market(folder, prices)


TINY_PLAN = Plan(
    epochs=(25, 5, 8, 2),
    batch_size=32,
    dropout=0.1,
    weight_decay=0.01,
    members=2,
    beta=None,
    keep_best=True,
)


@pytest.fixture(scope="session")
def backbone() -> ColourBackbone:
    return ColourBackbone()


@pytest.fixture(scope="session")
def tiny_plan() -> Plan:
    return TINY_PLAN


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """300 listings without times or sellers."""
    return write_market(tmp_path_factory.mktemp("m") / "market", count=300, seed=1, timed=False)


@pytest.fixture(scope="session")
def timed_market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """200 listings with times and sellers."""
    return write_market(tmp_path_factory.mktemp("m") / "timed", count=200, seed=2, timed=True)


@pytest.fixture(scope="session")
def unseen_market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """100 other listings of the market without times."""
    return write_market(tmp_path_factory.mktemp("m") / "unseen", count=100, seed=3, timed=False)


@pytest.fixture(scope="session")
def bundle_folder(
    market: Market, backbone: ColourBackbone, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A bundle trained on the market without times, not to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    train_bundle(
        read_dataset(market.folder),
        folder,
        backbone=backbone,
        objective=Objective(delta=0.6),
        plan=TINY_PLAN,
        cache=FeatureCache(tmp_path_factory.mktemp("features")),
    )
    return folder
