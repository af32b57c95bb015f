"""A small market of examples with photos on disk, and where a retraining reads and writes."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models.gate.rules import GateRules
from models.head_training import Objective
from models.joint.trainer import Plan
from schemas.image import ImageReference
from schemas.statistics import Scope, ScopeStatistics, Statistics
from workers.examples.example import Decision, Example, Outcome
from workers.examples.store import ExampleStore
from workers.retrain.images import Extractors
from workers.retrain.job import Places, Rules
from workers.retrain.photos import PhotoShelf
from workers.runtime.clients import ClientOptions
from workers.suggest.allow_list import AllowList
from workers.suggest.fetch import Fetcher
from workers.suggest.file_roots import FileRoots
from workers.suggest.web import WebPhotos

START = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = Plan(
    epochs=(14, 3, 6, 2),
    batch_size=32,
    dropout=0.1,
    weight_decay=0.01,
    members=2,
    beta=None,
    keep_best=True,
)


def scope(price: int, count: int, source: Scope) -> ScopeStatistics:
    return ScopeStatistics(
        q1=price // 2, q2=price, q3=price * 2, mean=price, count=count, source=source
    )


def make_example(number: int, **changed: Any) -> Example:
    """An example listed `number` hours after START and sold two days later for about 50 GBP."""
    listed = START + timedelta(hours=number)
    fields: dict[str, Any] = {
        "listing_id": f"l{number}",
        "revision": 3,
        "known_at": listed + timedelta(days=2),
        "seller_id": f"s{number % 40}",
        "category": "Home > Big",
        "currency": "GBP",
        "images": (ImageReference(uri=f"file:///photos/{number}.jpg"),),
        "listed_at": listed,
        "statistics": Statistics(
            currency="GBP",
            seller=scope(5_000, 0, Scope.CATEGORY),
            category=scope(5_000, 7, Scope.CATEGORY),
            overall=scope(4_000, 9, Scope.GLOBAL),
        ),
        "decision": Decision.PRICE,
        "suggested_minor": 5_000,
        "outcome": Outcome.SOLD,
        "sold_minor": 5_000 + number,
        "transaction_id": f"t{number}",
        "sold_at": listed + timedelta(days=2),
    }
    return Example(**{**fields, **changed})


@dataclass(frozen=True)
class Shop:
    """Examples of a market and the folder of their photos."""

    folder: Path
    examples: Sequence[Example]


@pytest.fixture(scope="session")
def shop(write_market: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """500 listings, one an hour: their photos tell the price. Every tenth was not sold.

    Every fifth of the others was refused, and every seventh is of the control.
    """
    market = write_market(tmp_path_factory.mktemp("shop") / "shop", count=500, seed=7, timed=True)
    with (market.folder / "listings.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    examples = []
    for number, row in enumerate(rows):
        price = round(float(row["price"]) * 100)
        sold = number % 10 != 9
        refused = sold and number % 5 == 0
        typical = 6_000 if "Big" in row["category"] else 3_000
        examples.append(
            make_example(
                number,
                listing_id=row["listing_id"],
                seller_id=row["seller_id"],
                category=row["category"],
                images=(ImageReference(uri=(market.folder / row["image"]).as_uri()),),
                statistics=Statistics(
                    currency="GBP",
                    seller=scope(typical, 0, Scope.CATEGORY),
                    category=scope(typical, 40, Scope.CATEGORY),
                    overall=scope(4_500, 90, Scope.GLOBAL),
                ),
                decision=Decision.REUPLOAD if refused else Decision.PRICE,
                suggested_minor=None if refused else price,
                control=not refused and number % 7 == 0,
                outcome=Outcome.SOLD if sold else Outcome.CENSORED,
                sold_minor=price if sold else None,
                transaction_id=f"t{number}" if sold else None,
                sold_at=START + timedelta(hours=number, days=2) if sold else None,
            )
        )
    return Shop(market.folder, examples)


def fetcher_below(folder: Path) -> Fetcher:
    """A fetcher of files below a folder, and of nothing else on loopback or elsewhere."""
    web = WebPhotos(
        AllowList(()), allow_private=False, max_bytes=1 << 20, max_redirects=0, connect_timeout_s=1
    )
    return Fetcher(FileRoots([folder], max_bytes=1 << 20), web)


def places_in(folder: Path, photos: Path, kafka: str, topic: str) -> Places:
    """Where a retraining of a test reads and writes."""
    return Places(
        examples=ExampleStore(str(folder / "examples")),
        registry_url=str(folder / "registry"),
        shelf=PhotoShelf(folder / "shelf", lambda: fetcher_below(photos)),
        folder=folder / "state",
        options=ClientOptions(bootstrap_servers=kafka),
        topic=topic,
    )


def rules_for(backbone: Any) -> Rules:
    """Rules for hundreds of listings: a gate that is content with few, and wide margins."""
    return Rules(
        days=180,
        floor=50,
        seller_share=0.1,
        seller_cap=20,
        max_ahead=timedelta(minutes=10),
        held_least=60,
        objective=Objective(delta=0.6),
        extractors=Extractors(
            backbone="colours",
            tuning=None,
            refresh=timedelta(days=90),
            named=lambda _: backbone,
        ),
        gate=GateRules(
            min_listings=40,
            margin=0.05,
            coverage_tolerance=0.3,
            range_tolerance=0.15,
            range_growth=2.0,
            calibration_tolerance=0.2,
            poison_epsilon=2.0,  # twenty fake sales are a third of a category of forty
        ),
        plan=PLAN,
    )


@pytest.fixture
def places(
    shop: Shop, kafka: str, topic_prefix: str, make_topic: Callable[..., str], tmp_path: Path
) -> Places:
    """An empty registry, an empty topic, and a store with the examples of the shop."""
    topic = make_topic(f"{topic_prefix}models", config={"cleanup.policy": "compact"})
    found = places_in(tmp_path, shop.folder, kafka, topic)
    found.examples.append(shop.examples)
    return found


@pytest.fixture
def rules(colour_backbone: Any) -> Rules:
    return rules_for(colour_backbone)
