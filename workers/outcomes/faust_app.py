"""The Faust application: its settings, each with its reason, and its one table.

Why they are so: docs/decisions/0063-faust-settings.md
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faust
from faust.tables.table import Table
from faust.transport.drivers import aiokafka as driver

from schemas.topics import MAX_DEAD_LETTER_BYTES, OUTCOMES_CHANGELOG
from workers.errors import WorkersError
from workers.outcomes.broker_access import credentials
from workers.runtime.settings import Settings

# Else each would log by the name of this module.
_LOGGER = logging.getLogger("faust.outcomes")

BATCH = 2_000
"""Records taken in at once, at most: between two batches the event loop goes round."""

_TABLE = "facts"
_MB = 2**20
_GIVE_UP_S = 90.0  # a write that no broker acknowledges for so long ends the worker

# Of each partition: Faust's defaults are 2 GiB of cache and 192 MiB of buffers.
_ROCKSDB = {
    "driver": "rocksdict",
    "block_cache_size": 8 * _MB,
    "write_buffer_size": 8 * _MB,
    "max_write_buffer_number": 2,
    "max_open_files": 256,
}


class _CommittedReads(driver.AIOKafkaConsumerThread):
    """Reads committed records only.

    Faust does so with its own transactions alone; ours are written by the other workers, and an
    answer of theirs that was aborted is none.
    """

    logger = _LOGGER

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        return consumer


class _Consumer(driver.Consumer):
    """Has Faust fetch the changelog only; the inputs are fetched by `workers.outcomes.intake`."""

    logger = _LOGGER

    def _new_consumer_thread(self) -> _CommittedReads:
        return _CommittedReads(self, loop=self.loop, beacon=self.beacon)

    def _set_active_tps(self, tps: Any) -> Any:
        return super()._set_active_tps({tp for tp in tps if self._is_changelog_tp(tp)})

    def resume_partitions(self, tps: Any) -> None:
        super().resume_partitions({tp for tp in tps if self._is_changelog_tp(tp)})

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        """Fetch from a copy of the set: Faust empties it meanwhile, and none would mean all."""
        wanted = set(active_partitions or ())
        return await super()._getmany(wanted, timeout) if wanted else {}

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Say nothing: to Faust the inputs stand still."""


class _App(faust.App):
    logger = _LOGGER

    def _new_transport(self) -> Any:
        transport: Any = super()._new_transport()
        transport.Consumer = _Consumer
        return transport


class _FactsTable(Table[bytes, bytes]):
    logger = _LOGGER
    changelog_name = ""

    def _changelog_topic_name(self) -> str:
        return self.changelog_name


def faust_app(
    settings: Settings, *, group: str, inputs: Sequence[str], partitions: int
) -> tuple[Any, Any]:
    """Return the application, subscribed to its inputs, and its table of facts.

    Args:
        settings: of the process; a Kafka must be configured.
        group: the consumer group, which also names the folder of the state.
        inputs: contract names of the topics.
        partitions: how many each of them has.

    Raises:
        ConfigurationError: aiokafka has no counterpart of the options for Kafka.
        WorkersError: the folder of the state cannot be made.
    """
    folder = settings.data_dir / "outcomes" / group
    _make(folder)
    servers = str(settings.kafka_bootstrap_servers).split(",")
    session_s = settings.session_timeout_ms / 1000
    app = _App(
        group,
        broker=[f"kafka://{server.rpartition('://')[2].strip()}" for server in servers],
        broker_credentials=credentials(settings.kafka_options),
        datadir=str(folder),
        store="rocksdb://",
        # Its exactly_once loses and doubles events at a rebalance.
        processing_guarantee="at_least_once",
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / 4,
        broker_request_timeout=max(_GIVE_UP_S, session_s),
        broker_max_poll_interval=settings.max_poll_interval_ms / 1000,
        producer_request_timeout=_GIVE_UP_S,
        producer_acks=-1,
        producer_max_request_size=MAX_DEAD_LETTER_BYTES,
        producer_max_batch_size=256 * 1024,
        broker_max_poll_records=BATCH,
        stream_wait_empty=False,  # what is not committed is read again
        topic_partitions=partitions,
        # `secondsight topics` makes them, also the changelog.
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
    )
    table = _FactsTable(
        app,
        name=_TABLE,
        key_type=bytes,
        value_type=bytes,
        partitions=partitions,
        options=dict(_ROCKSDB),  # Faust takes from it what it has read
    )
    table.changelog_name = settings.topic(OUTCOMES_CHANGELOG)
    app.tables.add(table)
    topic = app.topic(
        *map(settings.topic, inputs), key_serializer="raw", value_serializer="raw", value_type=bytes
    )
    aiter(topic)  # subscribes to it
    return app, table


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)  # Faust makes no parents
    except OSError as error:
        raise WorkersError(f"{folder} cannot be made: {error.strerror or error}") from error
