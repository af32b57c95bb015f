from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from confluent_kafka import Consumer, Message, TopicPartition
from PIL import Image

from schemas import cloudevents
from schemas.partitioner import partition_for
from schemas.suggestion import PriceSuggested

if TYPE_CHECKING:
    from tests.workers.suggest.conftest import Scene

DEADLINE_S = 60.0
PARTITIONS = 2
LISTINGS = 400
# After so many further answers, of open transactions too, each worker is killed.
LIVES = (1, 60, 30)


def test_a_worker_that_is_killed_neither_loses_nor_doubles_an_answer(
    kafka: str,
    topic_prefix: str,
    make_contract_topics: Callable[[int], None],
    produce: Callable[..., None],
    read_all: Callable[..., list[Message]],
    red_bundle: Path,
    scene: Scene,
    tmp_path: Path,
) -> None:
    make_contract_topics(PARTITIONS)
    pixels = np.random.default_rng(1).integers(180, 250, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((512, 512), Image.Resampling.NEAREST).save(tmp_path / "a.png")
    uri = (tmp_path / "a.png").as_uri()
    events = [
        scene.enriched(uri, seller=f"s{number}", listing_id=str(number))
        for number in range(LISTINGS)
    ]
    home = {event.listing_id: partition_for(event.seller_id.encode(), 2) for event in events}
    produce(
        topic_prefix + "listing.enriched",
        [
            {
                "key": event.seller_id.encode(),
                "value": event.to_bytes(),
                "partition": home[event.listing_id],
                "headers": cloudevents.encode(
                    event, event_id=event.listing_id, source="/test", time=event.listed_at
                ),
            }
            for event in events
        ],
    )
    answers = topic_prefix + "price.suggested"

    @contextmanager
    def worker() -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.cli.main", "suggest"],
            env=os.environ
            | {
                "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": kafka,
                "SECONDSIGHT_TOPIC_PREFIX": topic_prefix,
                "SECONDSIGHT_INSTANCE_ID": "killed",  # so that it fences its predecessor
                "SECONDSIGHT_BUNDLE": str(red_bundle),
                "SECONDSIGHT_SUGGEST_BATCH_MAX_RECORDS": "4",
                "SECONDSIGHT_IMAGE_FILE_ROOTS": str(tmp_path),
            },
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    witness = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"{topic_prefix}witness",
            "isolation.level": "read_uncommitted",
            "fetch.wait.max.ms": 5,
        }
    )
    witness.assign([TopicPartition(answers, partition, 0) for partition in range(PARTITIONS)])
    for wanted in LIVES:
        with worker() as process:
            deadline = time.monotonic() + DEADLINE_S
            seen = 0
            while seen < wanted:
                assert process.poll() is None
                assert time.monotonic() < deadline
                seen += witness.poll(0.1) is not None
    witness.close()
    assert len(read_all(answers)) < LISTINGS  # the last one, too, was killed amid its work

    with worker() as process:
        deadline = time.monotonic() + DEADLINE_S
        while len(found := read_all(answers)) < LISTINGS:
            assert process.poll() is None
            assert time.monotonic() < deadline
        process.terminate()
        assert process.wait(DEADLINE_S) == 0

    given: dict[int, list[int]] = {partition: [] for partition in range(PARTITIONS)}
    for message in found:
        event, _ = cloudevents.decode(
            cast(list[tuple[str, bytes | None]], message.headers() or []),
            message.value(),
            accept=[PriceSuggested],
        )
        assert isinstance(event, PriceSuggested)
        given[cast(int, message.partition())].append(int(event.listing_id))
    assert given == {
        partition: [number for number in range(LISTINGS) if home[str(number)] == partition]
        for partition in range(PARTITIONS)
    }
    assert read_all(topic_prefix + "reupload.requested") == []
    assert read_all(topic_prefix + "listing.enriched.dead-letter") == []
