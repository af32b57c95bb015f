"""A record that the stats worker's code fails on is set aside once, whoever takes over."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message
from prometheus_client import CollectorRegistry

from schemas.listing import ListingEnriched
from schemas.topics import STATS_CHANGELOG, STATS_PARTIALS
from stats_store.backend.options import RocksDBOptions
from stats_store.store import PartitionStore
from workers.runtime.access import STATS
from workers.runtime.clients import ClientOptions
from workers.runtime.dead_letters import DeadLetters
from workers.runtime.loop import TransactionalLoop
from workers.runtime.metrics import LoopMetrics, RoutingMetrics, StatsMetrics
from workers.runtime.processing import Output, Record, Rejected
from workers.runtime.routing import SellerRouter
from workers.runtime.transaction import TransactionalProducer
from workers.stats.partials import PartialsFollower
from workers.stats.processor import StatsProcessor
from workers.stats.restore import Restorer

DEADLINE_S = 60.0
POISON = b'"t13"'


class Faulty(StatsProcessor):
    """Fails on one sale, after it has counted it."""

    def process(self, records: Sequence[Record]) -> Sequence[Output | Rejected]:
        results = super().process(records)
        if any(POISON in (record.value or b"") for record in records):
            raise ZeroDivisionError("the code has a fault")
        return results


Run = Callable[[Path], AbstractContextManager[None]]


@pytest.fixture
def faulty_worker(kafka: str, topic_prefix: str) -> Run:
    """A worker in this process whose code has a fault: `with faulty_worker(its_data_folder)`."""

    @contextmanager
    def run(folder: Path) -> Iterator[None]:
        options = ClientOptions(bootstrap_servers=kafka, session_timeout_ms=6_000)
        registry = CollectorRegistry()
        metrics = StatsMetrics(registry)
        partials = PartialsFollower(
            options.log_reader(), topic=topic_prefix + STATS_PARTIALS, partitions=1
        )
        loop = TransactionalLoop(
            Faulty(
                router=SellerRouter(partitions=1, metrics=RoutingMetrics(registry)),
                open_store=lambda number, _: PartitionStore.open(
                    folder / str(number), number, options=RocksDBOptions()
                ),
                restore=Restorer(
                    options,
                    changelog=topic_prefix + STATS_CHANGELOG,
                    partials=partials,
                    metrics=metrics,
                    timeout=DEADLINE_S,
                ),
                partials=partials,
                metrics=metrics,
                max_future=600,
                partials_interval=0.1,
            ),
            consumer=Consumer(options.group_consumer(f"{topic_prefix}stats")),
            producer=TransactionalProducer(
                options.transactional_producer(f"{topic_prefix}{folder.name}"),
                physical=lambda topic: topic_prefix + topic,
                timeout=10.0,
            ),
            inputs=STATS.inputs,
            topic_prefix=topic_prefix,
            dead_letters=DeadLetters(max_ratio=0.5, window=100),
            metrics=LoopMetrics(registry),
            batch_max_records=50,
            batch_max_wait=0.005,
            max_idle=1.0,
        )
        with ExitStack() as running:
            partials.start()
            running.callback(partials.stop)
            thread = threading.Thread(target=loop.run)
            thread.start()
            running.callback(thread.join, DEADLINE_S)
            running.callback(loop.stop)
            yield

    return run


def test_a_poisonous_sale_is_set_aside_once_whoever_takes_over(
    make_system: Callable[[int], Any], events: Any, faulty_worker: Run, tmp_path: Path
) -> None:
    system = make_system(1)

    def wait_for_one(topic: str) -> Message:
        deadline = time.monotonic() + DEADLINE_S
        while not (found := system.read(topic)):
            assert time.monotonic() < deadline, f"nothing in {topic}"
        message: Message
        (message,) = found
        return message

    sound = [events.sale(number, number, 1_000) for number in range(13)]
    poison = events.sale(13, 13, 5_000)
    system.publish("transactions", *sound, poison)  # nothing comes after it
    with faulty_worker(tmp_path / "one"):
        letter = wait_for_one("transactions.dead-letter")
    assert letter.value() == poison["value"]
    headers = dict(letter.headers() or [])
    assert headers["dead_letter_stage"] == b"process"
    assert headers["dead_letter_error_class"] == b"ZeroDivisionError"

    # Another machine restores from the changelog; what it asks for precedes the listing.
    system.publish("listing.created", events.listing("new", 20))
    with faulty_worker(tmp_path / "two"):
        enriched = wait_for_one("listing.enriched")
    listing = ListingEnriched.model_validate_json(enriched.value() or b"")
    assert listing.statistics.overall.count == len(sound)
    assert len(system.read("transactions.dead-letter")) == 1
