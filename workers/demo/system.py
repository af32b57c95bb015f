"""A system of the demo's own: Kafka with topics that nobody else uses, and the two workers."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient

from workers.demo.processes import WorkerProcess
from workers.demo.stages import Stages
from workers.errors import ConfigurationError
from workers.local.broker import kafka_for
from workers.runtime.service import client_options
from workers.runtime.settings import Settings
from workers.topics import create_topics

STATS_IDLE_MS = "2000"  # a publisher that pauses for less cannot change a statistic


@contextmanager
def kafka_system(settings: Settings, stages: Stages) -> Iterator[Settings]:
    """Yield settings of a system of its own on the configured Kafka, or on one started for it.

    Its topics keep all records, and are deleted at the end.

    Raises:
        WorkersError: there is no Kafka to be had.
    """
    configured = settings.kafka_bootstrap_servers is not None
    with ExitStack() as stack:
        with stages.stage("kafka", "Creating topics" if configured else "Starting Apache Kafka"):
            servers = stack.enter_context(kafka_for(settings, say=stages.say))
            own = settings.model_copy(
                update={
                    "kafka_bootstrap_servers": servers,
                    "topic_prefix": f"{settings.topic_prefix}demo-{uuid.uuid4().hex[:8]}.",
                    # One partition sees every sale, so each statistic is exact at once and can be
                    # counted anew. With more, those of other partitions arrive a moment later.
                    "partitions": 1,
                }
            )
            options = client_options(own).common()
            topics = create_topics(
                options,
                prefix=own.topic_prefix,
                partitions=own.partitions,
                replication_factor=own.replication_factor,
                keep_all=True,
            )
        if configured:
            stack.callback(_delete_topics, options, [topic.name for topic in topics])
        yield own


@contextmanager
def running_workers(
    settings: Settings, stages: Stages, *, bundle: Path, photos: Path, state: Path, logs: Path
) -> Iterator[list[WorkerProcess]]:
    """Yield the stats and the suggest worker, ready; they end with the block.

    Args:
        settings: of the system.
        stages: where the progress is shown.
        bundle: the model.
        photos: the folder below which photos lie.
        state: folder for the state of the stats worker.
        logs: folder for the logs, `stats.jsonl` and `suggest.jsonl`.

    Raises:
        WorkersError: a worker does not become ready.
        ConfigurationError: the photos' folder cannot be named in a setting.
    """
    if "," in str(photos):
        raise ConfigurationError(f"{photos}: the name of a folder with photos must have no comma")
    common = {
        "SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers or "",
        "SECONDSIGHT_TOPIC_PREFIX": settings.topic_prefix,
    }
    of_each = {
        "stats": {
            "SECONDSIGHT_DATA_DIR": str(state.absolute()),
            "SECONDSIGHT_MAX_IDLE_MS": STATS_IDLE_MS,
        },
        "suggest": {
            "SECONDSIGHT_BUNDLE": str(bundle.absolute()),
            "SECONDSIGHT_IMAGE_FILE_ROOTS": str(photos.absolute()),
        },
    }
    with ExitStack() as stack:
        with stages.stage("workers", "Starting the stats and the suggest worker"):
            workers = [
                stack.enter_context(
                    WorkerProcess(name, settings=common | own, log=logs / f"{name}.jsonl")
                )
                for name, own in of_each.items()
            ]
            for worker in workers:
                worker.wait_ready()
        yield workers


def stop_workers(workers: Sequence[WorkerProcess], stages: Stages) -> None:
    """Stop the workers in order, as an operator would.

    Raises:
        WorkersError: a worker had ended, or ends otherwise than it should.
    """
    with stages.stage("stop", "Stopping the workers"):
        for worker in workers:
            worker.stop()


def _delete_topics(options: Mapping[str, Any], names: Sequence[str]) -> None:
    admin = AdminClient({**options})  # kept until it has answered: with it its requests end
    for future in admin.delete_topics(list(names)).values():
        future.result()
