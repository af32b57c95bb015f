"""Fixtures that any test may use: a small market, small networks, the real broker."""

import csv
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from PIL import Image

from models.extractors.preprocessing import Preprocessing
from schemas.dataset import LISTING_COLUMNS
from tests.red_bundle import write_red_bundle
from workers.local.broker import LocalBroker
from workers.topics import create_topics

DEADLINE_S = 60.0

# A slow machine, or the first run of all, which makes tables, is nothing that a test should see.
hypothesis_settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("untimed")


class ColourBackbone:
    """Mean colours of the four quarters of a photo: 12 features, no weights to load."""

    name = "colours"
    width = 12
    input_size = 32
    fingerprint = "colours-1"
    preprocessing = Preprocessing(
        size=32, mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0), resample="bilinear"
    )

    def preprocess(self, image: Image.Image) -> Any:
        return self.preprocessing(image)

    def build(self) -> Any:
        import torch  # many tests do without

        return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten()).eval()


@dataclass(frozen=True)
class Market:
    """Where a market lies, and what is true of it."""

    folder: Path
    prices: dict[str, float]


def _photo(path: Path, red: int, seed: int) -> None:
    """A sharp chequerboard in one colour; how red it is tells the price."""
    rng = np.random.default_rng(seed)
    board = np.indices((96, 96)).sum(axis=0) // 8 % 2
    pixels = np.zeros((96, 96, 3), np.float64)
    pixels[..., 0] = red * (0.4 + 0.6 * board)
    pixels[..., 1] = 200 * (1 - board)
    pixels[..., 2] = 60
    noisy = np.clip(pixels + rng.normal(scale=4, size=pixels.shape), 0, 255)
    Image.fromarray(noisy.astype(np.uint8)).save(path, quality=90)


def _write_market(
    folder: Path, *, count: int, seed: int, timed: bool, priced: bool = True
) -> Market:
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows, prices = [], {}
    for number in range(count):
        name = f"images/{number}.jpg"
        red = int(rng.integers(40, 250))
        big = bool(rng.integers(2))
        _photo(folder / name, red, seed * 10_000 + number)
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


@pytest.fixture(scope="session")
def colour_backbone() -> ColourBackbone:
    return ColourBackbone()


@pytest.fixture(scope="session")
def write_market() -> Callable[..., Market]:
    """Writes a dataset: `write_market(folder, count=, seed=, timed=, priced=True)`.

    Price: 10 to 100 by how red the photo is, twice as much in `Home > Big`, little noise.
    """
    return _write_market


@pytest.fixture(scope="session")
def red_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the smallest networks: log price = 3 + 2 r, see `write_red_bundle`."""
    return write_red_bundle(tmp_path_factory.mktemp("bundles") / "red")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Bootstrap servers of a real broker: the configured one, else one for this session."""
    configured = os.environ.get("SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS")
    if configured:
        yield configured
        return
    with LocalBroker() as broker:
        yield broker.bootstrap_servers


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topics, groups and transactional ids that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}."


def listed(admin: AdminClient, name: str) -> bool:
    """Say whether a list of all topics has this one, with leaders."""
    known = admin.list_topics(timeout=DEADLINE_S).topics.get(name)
    leaders = [partition.leader for partition in known.partitions.values()] if known else []
    return bool(leaders) and min(leaders) >= 0


@pytest.fixture
def make_topic(kafka: str) -> Callable[..., str]:
    """Creates a topic and returns its name: `make_topic(name, partitions=1, config=None)`."""

    def make(name: str, partitions: int = 1, config: dict[str, str] | None = None) -> str:
        admin = AdminClient({"bootstrap.servers": kafka})
        topic = NewTopic(name, partitions, 1, config=config or {})
        admin.create_topics([topic], operation_timeout=30)[name].result(DEADLINE_S)
        deadline = time.monotonic() + DEADLINE_S
        while not listed(admin, name):  # a broker under load tells of it a little later
            assert time.monotonic() < deadline, f"{name} is not listed after {DEADLINE_S} s"
        return name

    return make


@pytest.fixture
def make_contract_topics(kafka: str, topic_prefix: str) -> Callable[[int], None]:
    """Creates every topic of the contract, with so many partitions; nothing in them expires."""

    def make(partitions: int) -> None:
        create_topics(
            {"bootstrap.servers": kafka},
            prefix=topic_prefix,
            partitions=partitions,
            replication_factor=1,
            keep_all=True,
        )

    return make


@pytest.fixture
def produce(kafka: str) -> Callable[..., None]:
    """Produces records and waits until all are stored: `produce(topic, records)`.

    A record is a dict of what `Producer.produce` takes: value, key, headers, partition, timestamp.
    """

    def send(topic: str, records: Sequence[dict[str, Any]]) -> None:
        errors: list[KafkaError] = []
        producer = Producer(
            {
                "bootstrap.servers": kafka,
                "partitioner": "murmur2_random",
                "message.max.bytes": 4 * 2**20,
            }
        )
        for record in records:
            producer.produce(
                topic,
                on_delivery=lambda error, _: errors.append(error) if error else None,
                **record,
            )
        assert producer.flush(DEADLINE_S) == 0
        if errors:
            raise KafkaException(errors[0])

    return send


@pytest.fixture
def read_all(kafka: str) -> Callable[..., list[Message]]:
    """Reads the committed records of a topic to its end: `read_all(topic)`.

    By partition, then offset; with `isolation="read_uncommitted"` aborted records come too.
    """

    def read(topic: str, *, isolation: str = "read_committed") -> list[Message]:
        consumer = Consumer(
            {
                "bootstrap.servers": kafka,
                "group.id": f"read-all-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": isolation,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "fetch.message.max.bytes": 4 * 2**20,
            }
        )
        try:
            partitions = consumer.list_topics(topic, timeout=DEADLINE_S).topics[topic].partitions
            assert partitions, f"topic {topic} does not exist"
            consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
            records: list[Message] = []
            unfinished = set(partitions)
            deadline = time.monotonic() + DEADLINE_S
            while unfinished:
                assert time.monotonic() < deadline, f"{topic} has no end in partitions {unfinished}"
                for message in consumer.consume(10_000, 0.1):
                    error = message.error()
                    if error is None:
                        records.append(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        unfinished.discard(message.partition())
                    else:
                        raise KafkaException(error)
        finally:
            consumer.close()
        return sorted(records, key=lambda record: (record.partition(), record.offset()))

    return read
