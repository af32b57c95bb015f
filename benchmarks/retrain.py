"""A whole retraining of 50,000 examples whose photos were looked at before, against ten minutes.

Made examples of 180 days: a latent of 32 numbers a listing makes both its photo's 1960 features (as
many as lite2 has) and its price, beside its category. What training takes of a photo
lies in the cache, as after any earlier retraining, and no photo can be fetched: one that were
decoded would end the run. Not in the time: making all that, and the champion, which is trained by a
first retraining a week earlier on a part of the examples. In the time: everything that `secondsight
retrain` does, with a real Kafka: reading the Parquet parts, the cache, the kernel, the heads with a
warm start, ranges, the gate, the registry, the announcement.

`share_of_limit` is the time over ten minutes; `cpu_minutes` are those of all cores.

    taskset -c 0,1 python benchmarks/retrain.py [--examples N] [--champion N] [--seed S]
"""

import argparse
import hashlib
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from models.extractors.looks import Look, LookCache
from models.extractors.preprocessing import Preprocessing
from schemas.image import ImageReference
from schemas.statistics import Scope, ScopeStatistics, Statistics
from workers.examples.example import Decision, Example, Outcome
from workers.examples.store import ExampleStore
from workers.local.broker import LocalBroker
from workers.retrain.images import Extractors
from workers.retrain.job import Places, Rules, retrain
from workers.retrain.photos import PhotoShelf
from workers.retrain.report import RetrainReport
from workers.runtime.clients import ClientOptions
from workers.suggest.fetch import Fetcher

LIMIT_MINUTES = 10.0
WIDTH = 1960  # of lite2
LATENT = 32
CATEGORIES = 60
DAYS = 180
START = datetime(2026, 1, 1, tzinfo=UTC)
TOPIC = "models"


class MadeBackbone:
    """Stands for lite2: as many features, of photos that nobody looks at."""

    name = "made"
    width = WIDTH
    input_size = 32
    fingerprint = "made-1"
    preprocessing = Preprocessing(
        size=32, mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0), resample="bilinear"
    )

    def preprocess(self, image: Any) -> Any:  # noqa: D102
        return self.preprocessing(image)

    def build(self) -> Any:  # noqa: D102
        import torch

        layers = [torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, WIDTH)]
        return torch.nn.Sequential(*layers).eval()


def make(count: int, looks: LookCache, seed: int) -> list[Example]:
    """Make examples in the order of listing, and put what their photos show into the cache."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(LATENT, WIDTH)) / LATENT**0.5
    weights = rng.normal(size=LATENT) * 0.12
    level = rng.normal(3.5, 0.7, CATEGORIES)
    found = []
    for number in range(count):
        latent = rng.normal(size=LATENT)
        features = np.maximum(latent @ mixing + rng.normal(size=WIDTH) * 0.3, 0)
        digest = hashlib.sha256(f"{seed} {number}".encode()).hexdigest()
        look = Look(features.astype(np.float32), (), int(rng.integers(0, 2**63)))
        looks.put(MadeBackbone.fingerprint, digest, look)
        listed = START + timedelta(days=DAYS * number / count)
        category = int(rng.integers(CATEGORIES))
        log_price = level[category] + latent @ weights + rng.normal() * 0.25
        found.append(_example(number, digest, listed, category, level[category], log_price, rng))
    return found


def _example(
    number: int,
    digest: str,
    listed: datetime,
    category: int,
    level: float,
    log_price: float,
    rng: np.random.Generator,
) -> Example:
    sold = bool(rng.random() < 0.85)
    at = listed + timedelta(days=float(rng.uniform(0.2, 6)))
    price = max(1, round(float(np.exp(log_price)) * 100))
    typical = max(4, round(float(np.exp(level)) * 100))

    def scope(source: Scope, sales: int) -> ScopeStatistics:
        return ScopeStatistics(
            q1=typical * 3 // 4,
            q2=typical,
            q3=typical * 4 // 3,
            mean=typical,
            count=sales,
            source=source,
        )

    return Example(
        listing_id=f"l{number}",
        revision=3,
        known_at=at,
        seller_id=f"s{rng.integers(5_000)}",
        category=f"Made > {category % 8} > {category}",
        currency="GBP",
        images=(ImageReference(uri=f"file:///{digest}.jpg", sha256=digest),),
        listed_at=listed,
        statistics=Statistics(
            currency="GBP",
            seller=scope(Scope.CATEGORY, 0),
            category=scope(Scope.CATEGORY, 50 + number // CATEGORIES),
            overall=scope(Scope.GLOBAL, 5_000 + number),
        ),
        decision=Decision.PRICE if rng.random() < 0.5 else Decision.REUPLOAD,
        suggested_minor=price,
        control=bool(rng.random() < 0.05),
        outcome=Outcome.SOLD if sold else Outcome.CENSORED,
        sold_minor=price if sold else None,
        transaction_id=f"t{number}" if sold else None,
        sold_at=at if sold else None,
    )


def no_fetcher() -> Fetcher:
    raise AssertionError("a photo is not in the cache")


def rules(seed: int) -> Rules:
    return Rules(
        days=DAYS + 10,
        floor=0,
        seller_share=0.0,
        seller_cap=0,
        max_ahead=timedelta(minutes=10),
        extractors=Extractors(
            backbone=MadeBackbone.name,
            tuning=None,
            refresh=timedelta(days=90),
            named=lambda _: MadeBackbone(),  # type: ignore[arg-type,return-value]  # never divided
        ),
        seed=seed,
    )


class Watch:
    """Tells of progress, and how long each stage took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def __call__(self, stage: str, done: int, total: int) -> None:  # noqa: D102
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now
        print(f"{stage} {done}/{total}", file=sys.stderr)


@contextmanager
def places(folder: Path, examples: Sequence[Example], looks: Path) -> Iterator[Places]:
    store = ExampleStore(str(folder / "examples"))
    for first in range(0, len(examples), 5_000):
        store.append(examples[first : first + 5_000])
    with LocalBroker() as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        topic = NewTopic(TOPIC, 1, 1, config={"cleanup.policy": "compact"})
        admin.create_topics([topic], operation_timeout=30)[TOPIC].result(60)
        yield Places(
            examples=store,
            registry_url=str(folder / "registry"),
            shelf=PhotoShelf(looks, no_fetcher),
            folder=folder / "state",
            options=ClientOptions(bootstrap_servers=broker.bootstrap_servers),
            topic=TOPIC,
        )


def run(count: int, of_champion: int, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="secondsight-benchmark-") as name:
        folder, looks = Path(name), Path(name) / "shelf"
        print(f"making {count:,} examples", file=sys.stderr)
        examples = make(count, LookCache(looks / "looks"), seed)
        end = START + timedelta(days=DAYS + 6)
        known = [e for e in examples if e.known_at <= end - timedelta(days=7)]
        step = max(1, len(known) // of_champion)
        with places(folder / "first", known[::step], looks) as there:
            first = retrain(there, rules(seed), now=end - timedelta(days=7), report=Watch())
        print(first.for_people(), file=sys.stderr)
        with places(folder / "second", examples, looks) as there:
            return _timed(there, first, folder, end, count, seed)


def _timed(
    there: Places, first: RetrainReport, folder: Path, end: datetime, count: int, seed: int
) -> dict[str, Any]:
    from schemas.model import ModelRole
    from workers.registry.announcing import announce
    from workers.registry.storage import ModelRegistry

    announce(
        folder / "first" / "registry" / str(first.model_version),
        ModelRegistry(there.registry_url),
        there.options,
        topic=there.topic,
        role=ModelRole.LIVE,
        share=None,
    )
    watch = Watch()
    cpu, began = _cpu(), time.perf_counter()
    found = retrain(there, rules(seed), now=end, report=watch)
    minutes, cpu = (time.perf_counter() - began) / 60, _cpu() - cpu
    print(found.for_people(), file=sys.stderr)
    return {
        "examples": count,
        "features": WIDTH,
        "cores": len(os.sched_getaffinity(0)),
        "minutes": round(minutes, 2),
        "cpu_minutes": round(cpu / 60, 2),
        "limit_minutes": LIMIT_MINUTES,
        "share_of_limit": round(minutes / LIMIT_MINUTES, 3),
        "peak_rss_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "published": found.published,
        "began_as_champion": found.began_as.startswith("as "),
        "seconds_until": {name: round(spent, 1) for name, spent in watch.seconds.items()},
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=50_000)
    parser.add_argument("--champion", type=int, default=8_000, help="examples of the champion")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(json.dumps(run(arguments.examples, arguments.champion, arguments.seed)))


if __name__ == "__main__":
    main()
