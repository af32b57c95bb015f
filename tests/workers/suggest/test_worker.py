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
import pytest
from confluent_kafka import Message
from PIL import Image

from models.errors import BundleError
from models.extractors.errors import DeviceError
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


def photo(path: Path, red: int) -> float:
    """Write a sharp photo of about that red; returns the mean of its red channel over 256."""
    blocks = np.random.default_rng(red).integers(-40, 41, (32, 32, 3))
    blocks += np.array([red, 120, 120])
    pixels = np.clip(blocks, 0, 255).astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    Image.fromarray(pixels).save(path)
    return float(pixels[..., 0].mean()) / 256


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
    make_contract_topics: Callable[[int], None],
    produce: Callable[..., None],
    read_all: Callable[..., list[Message]],
    red_bundle: Path,
    host: PhotoHost,
    tmp_path: Path,
) -> None:
    make_contract_topics(PARTITIONS)
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
            "SECONDSIGHT_BUNDLE": str(red_bundle),
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
    version = Pricer.load(red_bundle).version
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


def test_it_says_that_no_kafka_is_named(red_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS", raising=False)

    with pytest.raises(ConfigurationError, match="KAFKA_BOOTSTRAP_SERVERS"):
        run_suggest(Settings(bundle=red_bundle))


def test_it_refuses_a_gpu_that_is_not_there(red_bundle: Path) -> None:
    settings = Settings(
        kafka_bootstrap_servers="127.0.0.1:1", bundle=red_bundle, suggest_device="cuda:63"
    )

    with pytest.raises(DeviceError, match="device cuda:63 was asked for, but torch"):
        run_suggest(settings)


def test_it_refuses_topics_that_are_missing(
    kafka: str, topic_prefix: str, red_bundle: Path
) -> None:
    settings = Settings(kafka_bootstrap_servers=kafka, topic_prefix=topic_prefix, bundle=red_bundle)

    with pytest.raises(ConfigurationError, match="topics missing"):
        run_suggest(settings)


def test_it_refuses_a_bundle_with_a_flipped_byte(
    kafka: str, topic_prefix: str, red_bundle: Path, tmp_path: Path
) -> None:
    create_topics(
        {"bootstrap.servers": kafka}, prefix=topic_prefix, partitions=1, replication_factor=1
    )
    for file in red_bundle.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    heads = bytearray((tmp_path / "heads.onnx").read_bytes())
    heads[len(heads) // 2] ^= 1
    (tmp_path / "heads.onnx").write_bytes(heads)
    settings = Settings(kafka_bootstrap_servers=kafka, topic_prefix=topic_prefix, bundle=tmp_path)

    with pytest.raises(BundleError, match=r"heads\.onnx"):
        run_suggest(settings)
