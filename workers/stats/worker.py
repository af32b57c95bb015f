"""The stats worker as a process: settings, stores and clients, wired."""

from prometheus_client import CollectorRegistry

from schemas.topics import (
    LISTING_CREATED,
    LISTING_ENRICHED,
    STATS_CHANGELOG,
    STATS_PARTIALS,
    TRANSACTIONS,
)
from stats_store.backend.options import RocksDBOptions
from stats_store.errors import StatsStoreError
from stats_store.store import PartitionStore
from workers.runtime.cluster import co_partitions
from workers.runtime.metrics import RoutingMetrics, StatsMetrics, new_registry
from workers.runtime.routing import SellerRouter
from workers.runtime.service import client_options, run_worker
from workers.runtime.settings import Settings
from workers.stats.partials import PartialsFollower
from workers.stats.processor import StatsProcessor
from workers.stats.restore import Restorer

INPUTS = (TRANSACTIONS, LISTING_CREATED)
OUTPUTS = (LISTING_ENRICHED, STATS_CHANGELOG, STATS_PARTIALS)


def run_stats(settings: Settings) -> None:
    """Run the stats worker until it is told to stop.

    Raises:
        ConfigurationError: no Kafka is configured, or its topics are not as they must be.
        WorkersError, StatsStoreError, KafkaException: the worker cannot go on.
    """
    options = client_options(settings)
    partitions = co_partitions(
        options.common(), [settings.topic(name) for name in (*INPUTS, *OUTPUTS)]
    )
    registry: CollectorRegistry = new_registry()
    metrics = StatsMetrics(registry)
    partials = PartialsFollower(
        options.log_reader(), topic=settings.topic(STATS_PARTIALS), partitions=partitions
    )
    stores = settings.data_dir / "stats"

    def open_store(partition: int) -> PartitionStore:
        return PartitionStore.open(stores / str(partition), partition, options=RocksDBOptions())

    partials.start()
    try:
        run_worker(
            StatsProcessor(
                router=SellerRouter(partitions=partitions, metrics=RoutingMetrics(registry)),
                open_store=open_store,
                restore=Restorer(
                    options,
                    changelog=settings.topic(STATS_CHANGELOG),
                    partials=partials,
                    metrics=metrics,
                    timeout=settings.max_poll_interval_ms / 1000,
                ),
                partials=partials,
                metrics=metrics,
                max_future=settings.max_future_ms / 1000,
                partials_interval=settings.partials_interval_ms / 1000,
            ),
            name="stats",
            inputs=INPUTS,
            settings=settings,
            registry=registry,
            batch_max_records=settings.batch_max_records,
            batch_max_wait_ms=settings.batch_max_wait_ms,
            worker_faults=(StatsStoreError,),
        )
    finally:
        partials.stop()
