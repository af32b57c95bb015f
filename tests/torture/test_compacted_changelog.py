"""A state restored from a changelog of which compaction has left a part."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests.torture.recount import Entry
from tests.torture.verdict import CHANGELOG

DEADLINE_S = 30.0
EAGER = {
    "segment.ms": "100",  # by the records' own times: a hundred milliseconds of the stream
    "min.cleanable.dirty.ratio": "0.001",
    "min.compaction.lag.ms": "0",
}


def alter(kafka: str, kind: ResourceType, name: str, config: dict[str, str | None]) -> None:
    """Set what has a value, and take back what has none."""
    entries = [
        ConfigEntry(
            setting,
            value,
            incremental_operation=AlterConfigOpType.DELETE
            if value is None
            else AlterConfigOpType.SET,
        )
        for setting, value in config.items()
    ]
    resource = ConfigResource(kind, name, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.incremental_alter_configs([resource])[resource].result(DEADLINE_S)


@pytest.fixture
def restless_cleaner(kafka: str) -> Iterator[None]:
    """The broker looks for what to compact ten times a second, not every 15 seconds."""
    brokers = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=DEADLINE_S).brokers
    for broker in brokers:
        alter(kafka, ResourceType.BROKER, str(broker), {"log.cleaner.backoff.ms": "100"})
    yield
    for broker in brokers:
        alter(kafka, ResourceType.BROKER, str(broker), {"log.cleaner.backoff.ms": None})


def test_it_is_the_state_all_the_same(
    make_scene: Callable[..., Any], kafka: str, restless_cleaner: None
) -> None:
    scene = make_scene()
    alter(kafka, ResourceType.TOPIC, scene.cluster.prefix + CHANGELOG, dict(EAGER))
    scene.crew.start("a")
    for _ in range(5):
        scene.publish(60)
        scene.counted()

    def compacted() -> bool:
        """Whether less than half is left of what was written."""
        left: list[Entry] = scene.cluster.read(CHANGELOG)
        return len(left) < left[-1].offset / 2

    scene.crew.until(compacted, "compaction")
    scene.crew.stop()
    scene.crew.start("b")  # with nothing but what is left of the changelog
    scene.publish(60)
    scene.is_as_counted()
