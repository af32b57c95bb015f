from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx
import pytest
from confluent_kafka import Message
from onnx import TensorProto, helper
from PIL import Image

from models.bundle.folder import new_bundle_folder, write_manifest
from models.bundle.manifest import ImageNetwork, Manifest, Rule, Source, statistics_schema_sha256
from models.bundle.snapshot import SalesSnapshot
from models.dataset.cleaning import PriceLimits
from models.errors import BundleError
from models.extractors.preprocessing import Preprocessing
from models.joint.confidence import Confidence
from models.joint.curve import Curve
from models.joint.ranges import RangeTable
from models.pricer import Pricer
from schemas import cloudevents
from schemas.image import ImageReference
from schemas.listing import ListingEnriched
from schemas.partitioner import partition_for
from schemas.statistics import Scope, ScopeStatistics, Statistics
from schemas.suggestion import PriceSuggested, ReuploadRequested
from workers.errors import ConfigurationError
from workers.runtime.settings import Settings
from workers.suggest.worker import run_suggest
from workers.topics import create_topics

if TYPE_CHECKING:
    from tests.workers.suggest.conftest import PhotoHost

DEADLINE_S = 60.0
LARGE_BYTES = 20 * 1024 * 1024  # by default a photo may have as many, and none more
PARTITIONS = 2
LISTED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

# The command, which also says whether serving brought torch in.
WORKER = """
import sys
from workers.cli.main import run
sys.exit(run(["suggest"]) or "torch" in sys.modules)
"""


def _save(
    path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], **values: Any
) -> None:
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, initializer=constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the smallest networks: log price = 3 + 2 r, score = 10 r - 3.

    r is the mean of the red channel, 0 to 1; the range is half a unit of log price to each side.
    """
    target = tmp_path_factory.mktemp("bundles") / "red"
    floats = TensorProto.FLOAT
    with new_bundle_folder(target) as folder:
        _save(
            folder / "backbone.onnx",
            [
                helper.make_node("GlobalAveragePool", ["pixels"], ["pooled"]),
                helper.make_node("Flatten", ["pooled"], ["features"]),
            ],
            [helper.make_tensor_value_info("pixels", floats, ["n", 3, 8, 8])],
            [helper.make_tensor_value_info("features", floats, ["n", 3])],
        )
        _save(
            folder / "heads.onnx",
            [
                helper.make_node("Gather", ["inputs", "first"], ["red"], axis=1),
                helper.make_node("Mul", ["red", "two"], ["rise"]),
                helper.make_node("Add", ["rise", "three"], ["log_prices"]),
                helper.make_node("Mul", ["red", "ten"], ["steep"]),
                helper.make_node("Sub", ["steep", "three"], ["scores"]),
            ],
            [helper.make_tensor_value_info("inputs", floats, ["n", 3 + 16])],
            [
                helper.make_tensor_value_info("log_prices", floats, ["n"]),
                helper.make_tensor_value_info("scores", floats, ["n"]),
            ],
            first=np.int64(0),
            two=np.float32(2),
            three=np.float32(3),
            ten=np.float32(10),
        )
        SalesSnapshot("GBP").save(folder / "histograms.safetensors")
        write_manifest(
            folder,
            Manifest(
                model_version="",
                currency="GBP",
                image_networks=(
                    ImageNetwork(
                        name="price",
                        backbone="red",
                        fingerprint="red",
                        width=3,
                        file="backbone.onnx",
                    ),
                ),
                preprocessing=Preprocessing(
                    size=8, mean=(0, 0, 0), std=(255, 255, 255), resample="bilinear"
                ),
                category_levels=(),
                inputs=3 + 16,
                statistics_schema_sha256=statistics_schema_sha256(),
                target_mean=0.0,
                price_limits=PriceLimits(1, 10**9),
                rule=Rule(name="percentile", delta=0.1, score_threshold=0.0),
                confidence=Confidence(
                    epsilon=0.5, probability=Curve(at=(-3.0, 5.0), value=(0.0, 1.0))
                ),
                ranges=RangeTable(
                    probability=0.8,
                    spread=Curve(at=(0.0,), value=(0.5,)),
                    pooled=1.0,
                    by_category={},
                ),
                source=Source(dataset="red", listings=1, sales=0, train=1, validation=0, test=0),
                training={},
                metrics={},
                files={},
            ),
        )
    return target


def photo(path: Path, red: int) -> float:
    """Write a sharp photo of about that red; returns the mean of its red channel, 0 to 1."""
    blocks = np.random.default_rng(red).integers(-40, 41, (32, 32, 3))
    blocks += np.array([red, 120, 120])
    pixels = np.clip(blocks, 0, 255).astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    Image.fromarray(pixels).save(path)
    return float(pixels[..., 0].mean()) / 255


def listing(
    name: str, *uris: str, seller: str = "seller-1", currency: str = "GBP"
) -> ListingEnriched:
    scope = ScopeStatistics(q1=100, q2=200, q3=300, mean=210, count=5, source=Scope.SELLER)
    return ListingEnriched(
        listing_id=name,
        seller_id=seller,
        category="Toys",
        currency=currency,
        images=tuple(ImageReference(uri=uri) for uri in uris),
        listed_at=LISTED,
        statistics=Statistics(currency=currency, seller=scope, category=scope, overall=scope),
    )


def as_produced(event: ListingEnriched, partition: int | None = None) -> dict[str, Any]:
    key = event.seller_id.encode()
    return {
        "key": key,
        "value": event.to_bytes(),
        "headers": cloudevents.encode(
            event, event_id=f"of-{event.listing_id}", source="/secondsight/stats", time=LISTED
        ),
        "partition": partition_for(key, PARTITIONS) if partition is None else partition,
        "timestamp": int(LISTED.timestamp() * 1000),
    }


def headers_of(message: Message) -> list[tuple[str, bytes | None]]:
    return cast(list[tuple[str, bytes | None]], message.headers() or [])


def test_every_listing_in_kafka_gets_one_answer(
    kafka: str,
    topic_prefix: str,
    produce: Callable[..., None],
    read_all: Callable[..., list[Message]],
    bundle: Path,
    host: PhotoHost,
    tmp_path: Path,
) -> None:
    create_topics(
        {"bootstrap.servers": kafka},
        prefix=topic_prefix,
        partitions=PARTITIONS,
        replication_factor=1,
        keep_all=True,
    )
    reds = {f"red-{red}": photo(tmp_path / f"{red}.png", red) for red in range(20, 240, 10)}
    with (tmp_path / "230.png").open("ab") as large:
        # one chunk behind the pixels, which no decoder reads
        large.write(LARGE_BYTES.to_bytes(4) + b"raWb" + bytes(LARGE_BYTES + 4))
    home = partition_for(b"seller-1", PARTITIONS)
    records = [
        as_produced(
            listing(name, f"file://{tmp_path}/{name.removeprefix('red-')}.png", seller=f"s{i}")
        )
        for i, name in enumerate(reds)
    ]
    records += [
        as_produced(listing("missing", host.url("/status/404"))),
        as_produced(listing("no-image", host.url("/photo"))),
        as_produced(listing("astray", f"file://{tmp_path}/200.png"), partition=1 - home),
        as_produced(listing("euros", f"file://{tmp_path}/200.png", currency="EUR")),
        {**as_produced(listing("broken", "x:y")), "value": b"{"},
    ]
    produce(topic_prefix + "listing.enriched", records)
    answered = len(records) - 2

    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        env=os.environ
        | {
            "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": kafka,
            "SECONDSIGHT_TOPIC_PREFIX": topic_prefix,
            "SECONDSIGHT_BUNDLE": str(bundle),
            "SECONDSIGHT_SUGGEST_BATCH_MAX_RECORDS": "4",
            "SECONDSIGHT_DEAD_LETTER_MAX_RATIO": "1",
            "SECONDSIGHT_IMAGE_FILE_ROOTS": str(tmp_path),
            "SECONDSIGHT_IMAGE_HOSTS": "127.0.0.1",
            "SECONDSIGHT_IMAGE_MAX_BYTES": str(2 * LARGE_BYTES),
            "SECONDSIGHT_IMAGE_PORTS": str(host.port),
            "SECONDSIGHT_IMAGE_PRIVATE_NETWORKS_ALLOWED": "true",
        },
    )
    deadline = time.monotonic() + DEADLINE_S

    def read_answers() -> list[Message]:
        return [
            message
            for topic in ("price.suggested", "reupload.requested")
            for message in read_all(topic_prefix + topic)
        ]

    try:
        while len(read_answers()) < answered:
            assert worker.poll() is None
            assert time.monotonic() < deadline
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(DEADLINE_S) == 0
    finally:
        worker.kill()
        worker.wait()

    events = {}
    for message in read_answers():
        event, envelope = cloudevents.decode(
            headers_of(message), message.value(), accept=[PriceSuggested, ReuploadRequested]
        )
        assert isinstance(event, PriceSuggested | ReuploadRequested)
        assert event.listing_id not in events
        events[event.listing_id] = event
        assert message.partition() == partition_for(event.seller_id.encode(), PARTITIONS)
        assert message.timestamp()[1] == int(LISTED.timestamp() * 1000)
        assert envelope.id == f"of-{event.listing_id}"
    assert set(events) == {*reds, "missing", "no-image", "astray"}
    version = Pricer.load(bundle).version
    for name, red in reds.items():
        answer = events[name]
        assert answer.model_version == version
        if 10 * red - 3 >= 0.05:
            assert isinstance(answer, PriceSuggested)
            price = 100 * math.exp(3 + 2 * red)
            assert answer.price_minor == pytest.approx(price, rel=0.02)
            assert answer.low_minor == pytest.approx(price / math.exp(0.5), rel=0.02)
            assert answer.high_minor == pytest.approx(price * math.exp(0.5), rel=0.02)
        elif 10 * red - 3 <= -0.05:
            assert isinstance(answer, ReuploadRequested)
            assert [reason.code.value for reason in answer.reasons] == ["inadequate_information"]
    assert sum(isinstance(events[name], PriceSuggested) for name in reds) >= 10
    assert sum(isinstance(events[name], ReuploadRequested) for name in reds) >= 3
    for name, code in [("missing", "unavailable"), ("no-image", "unreadable")]:
        answer = events[name]
        assert isinstance(answer, ReuploadRequested)
        assert [reason.code.value for reason in answer.reasons] == [code]
    dead = read_all(topic_prefix + "listing.enriched.dead-letter")
    assert {dict(headers_of(letter))["dead_letter_stage"] for letter in dead} == {
        b"currency",
        b"decode",
    }
    assert len(dead) == 2


def test_it_says_that_no_bundle_is_named() -> None:
    with pytest.raises(ConfigurationError, match="SECONDSIGHT_BUNDLE"):
        run_suggest(Settings(kafka_bootstrap_servers="127.0.0.1:1"))


def test_it_says_that_no_kafka_is_named(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS", raising=False)

    with pytest.raises(ConfigurationError, match="KAFKA_BOOTSTRAP_SERVERS"):
        run_suggest(Settings(bundle=bundle))


def test_it_refuses_topics_that_are_missing(kafka: str, topic_prefix: str, bundle: Path) -> None:
    settings = Settings(kafka_bootstrap_servers=kafka, topic_prefix=topic_prefix, bundle=bundle)

    with pytest.raises(ConfigurationError, match="topics missing"):
        run_suggest(settings)


def test_it_refuses_a_bundle_with_a_flipped_byte(
    kafka: str, topic_prefix: str, bundle: Path, tmp_path: Path
) -> None:
    create_topics(
        {"bootstrap.servers": kafka}, prefix=topic_prefix, partitions=1, replication_factor=1
    )
    for file in bundle.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    heads = bytearray((tmp_path / "heads.onnx").read_bytes())
    heads[len(heads) // 2] ^= 1
    (tmp_path / "heads.onnx").write_bytes(heads)
    settings = Settings(kafka_bootstrap_servers=kafka, topic_prefix=topic_prefix, bundle=tmp_path)

    with pytest.raises(BundleError, match=r"heads\.onnx"):
        run_suggest(settings)
