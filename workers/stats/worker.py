"""The stats worker as a process: settings, stores and clients, wired."""

import gc
import uuid
import zlib
from contextlib import ExitStack
from pathlib import Path

from prometheus_client import CollectorRegistry

from schemas.topics import STATS_CHANGELOG, STATS_PARTIALS
from stats_store.backend.options import RocksDBOptions
from stats_store.errors import StatsStoreError
from stats_store.rules import Rules
from stats_store.store import PartitionStore
from workers.runtime.access import STATS
from workers.runtime.cluster import co_partitions, high_watermarks, topic_name_for_ever
from workers.runtime.metrics import RoutingMetrics, StatsMetrics, new_registry
from workers.runtime.routing import SellerRouter
from workers.runtime.service import client_options, group_of, run_worker
from workers.runtime.settings import Settings
from workers.stats.checkpoint_storage import CheckpointStorage
from workers.stats.checkpoints import Checkpointer
from workers.stats.opening import StoreOpener
from workers.stats.owners import Owners
from workers.stats.partials import PartialsFollower
from workers.stats.processor import StatsProcessor
from workers.stats.queries import PREFIX, Queries
from workers.stats.readers import OwnStores
from workers.stats.restore import Restorer
from workers.stats.standby import Standby

# Python looks for cycles after every 700 objects made, which takes the processor 14 % of its wall
# time. There are none: 10 or 11 objects a record go with its batch, and twice that is never
# reached in one. Where batches are small, what the store keeps (110,000 objects) must not reach it.
_OBJECTS_OF_A_RECORD = 20
_OBJECTS_AT_LEAST = 200_000


def run_stats(settings: Settings) -> None:
    """Run the stats worker until it is told to stop.

    Raises:
        ConfigurationError: no Kafka is configured, or its topics are not as they must be.
        WorkersError, StatsStoreError, KafkaException: the worker cannot go on.
    """
    collect_seldom(settings.batch_max_records)
    options = client_options(settings)
    partitions = co_partitions(
        options.common(), [settings.topic(name) for name in (*STATS.inputs, *STATS.outputs)]
    )
    registry: CollectorRegistry = new_registry()
    metrics = StatsMetrics(registry)
    partials = PartialsFollower(
        options.log_reader(), topic=settings.topic(STATS_PARTIALS), partitions=partitions
    )
    changelog = settings.topic(STATS_CHANGELOG)
    changelog_name = topic_name_for_ever(options.common(), changelog)
    storage = (
        None if settings.checkpoint_url is None else CheckpointStorage(settings.checkpoint_url)
    )
    stores = settings.data_dir / "stats"
    rules = Rules(
        window_days=settings.window_days,
        seller_cap=settings.seller_cap,
        sale_days=settings.sale_memory_days,
        parked_days=settings.parked_reversal_days,
    )

    def open_at(folder: Path, partition: int) -> PartitionStore:
        return PartitionStore.open(folder, partition, options=RocksDBOptions(), rules=rules)

    def end_of(partition: int) -> int:
        place = changelog, partition
        return high_watermarks(options.common(), [place])[place]

    opener = StoreOpener(
        stores,
        open_at=open_at,
        storage=storage,
        changelog=changelog_name,
        ends=end_of,
        metrics=metrics,
    )
    standby = Standby(
        options,
        changelog=changelog,
        open_store=opener,
        order=_rotated(partitions, settings.instance_id or uuid.uuid4().hex),
        limit=partitions if settings.standby == "all" else settings.standby,
        metrics=metrics,
    )
    checkpointer: Checkpointer | None = None
    if storage is not None:
        checkpointer = Checkpointer(
            storage,
            scratch=stores,
            changelog=changelog_name,
            interval=settings.checkpoint_interval_ms / 1000,
            metrics=metrics,
        )

    own_stores = OwnStores(stores)
    queries = Queries(
        stores=own_stores,
        partials=partials,
        owners=Owners(
            options.common(),
            group=group_of(settings, STATS.name),
            topic=settings.topic(STATS.inputs[0]),
        ),
        partitions=partitions,
        address=settings.advertised_address,
    )

    def restored(store: PartitionStore) -> None:
        own_stores.watch(store)
        if checkpointer is not None:
            checkpointer.watch(store, checkpoint=opener.fetched.get(store.partition, 0))

    with ExitStack() as running:
        running.callback(own_stores.close)
        for helper in (partials, standby if settings.standby else None, checkpointer):
            if helper is not None:
                helper.start()
                running.callback(helper.stop)
        run_worker(
            StatsProcessor(
                router=SellerRouter(partitions=partitions, metrics=RoutingMetrics(registry)),
                open_store=standby.open_store,
                restore=Restorer(
                    options,
                    changelog=changelog,
                    partials=partials,
                    metrics=metrics,
                    timeout=settings.max_poll_interval_ms / 1000,
                    on_restored=restored,
                ),
                partials=partials,
                metrics=metrics,
                max_future=settings.max_future_ms / 1000,
                partials_interval=settings.partials_interval_ms / 1000,
            ),
            name=STATS.name,
            inputs=STATS.inputs,
            settings=settings,
            registry=registry,
            batch_max_records=settings.batch_max_records,
            batch_max_wait_ms=settings.batch_max_wait_ms,
            worker_faults=(StatsStoreError,),
            pages={PREFIX: queries},
        )


def _rotated(partitions: int, name: str) -> list[int]:
    """Return the partitions, from one on that depends on a worker's name.

    So workers that follow only some of them do not all follow the same.
    """
    first = zlib.crc32(name.encode()) % partitions
    return [*range(first, partitions), *range(first)]


def collect_seldom(batch_max_records: int) -> None:
    """Let no look for cycles fall into a batch; what there is now is never looked at again."""
    gc.freeze()
    gc.set_threshold(max(_OBJECTS_AT_LEAST, _OBJECTS_OF_A_RECORD * batch_max_records), 20, 20)
