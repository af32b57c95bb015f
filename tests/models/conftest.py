"""Small markets, and a bundle trained on one of them, once for all tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.dataset.reader import read_dataset
from models.extractors.cache import FeatureCache
from models.head_training import Objective
from models.joint.trainer import Plan
from models.training import train_bundle

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
def backbone(colour_backbone: Any) -> Any:
    return colour_backbone


@pytest.fixture(scope="session")
def tiny_plan() -> Plan:
    return TINY_PLAN


@pytest.fixture(scope="session")
def market(write_market: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """300 listings without times or sellers."""
    return write_market(tmp_path_factory.mktemp("m") / "market", count=300, seed=1, timed=False)


@pytest.fixture(scope="session")
def timed_market(write_market: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """200 listings with times and sellers."""
    return write_market(tmp_path_factory.mktemp("m") / "timed", count=200, seed=2, timed=True)


@pytest.fixture(scope="session")
def unseen_market(
    write_market: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """100 other listings of the market without times."""
    return write_market(tmp_path_factory.mktemp("m") / "unseen", count=100, seed=3, timed=False)


@pytest.fixture(scope="session")
def bundle_folder(market: Any, backbone: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
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
