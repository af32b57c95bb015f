"""What topics do with the timestamps of a replay."""

from collections.abc import Iterable
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    ResourceType,
)

from schemas.topics import FOREVER
from workers.runtime.clients import Options

_TIMEOUT_S = 30.0
_HOUR_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """What a topic does with timestamps; the defaults are Kafka's own.

    Attributes:
        ahead_ms: a record that far ahead of the broker's clock is refused.
        retention_ms: an older record is deleted soon after it was written; FOREVER: none is.
    """

    ahead_ms: int = _HOUR_MS
    retention_ms: int = FOREVER


def time_limits_of(options: Options, topics: Iterable[str]) -> dict[str, TimeLimits]:
    """Return what each topic does with timestamps, by its name on the cluster.

    Who may write to a topic need not be allowed to see its configuration: then the limits are
    Kafka's own.
    """
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
    if not resources:
        return {}
    admin = AdminClient(options)  # kept until it has answered: with it its requests end
    limits = {}
    for resource, answer in admin.describe_configs(resources, request_timeout=_TIMEOUT_S).items():
        try:
            entries = answer.result()
            limits[str(resource.name)] = TimeLimits(
                ahead_ms=int(entries["message.timestamp.after.max.ms"].value),
                retention_ms=int(entries["retention.ms"].value)
                if "delete" in entries["cleanup.policy"].value
                else FOREVER,
            )
        except KafkaException:
            limits[str(resource.name)] = TimeLimits()
    return limits
