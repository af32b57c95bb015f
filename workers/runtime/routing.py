"""Events that lie in another partition than their seller's are sent on, never mixed in."""

from functools import lru_cache

import structlog

from schemas.dead_letter import MAX_KEPT_BYTES
from schemas.errors import EventError
from schemas.partitioner import partition_for
from workers.runtime.metrics import RoutingMetrics
from workers.runtime.processing import Output, Record

log = structlog.get_logger(__name__)

_REMEMBERED = 65_536  # sellers: most sales are of a few


class SellerRouter:
    """Knows the partition of each seller: murmur2 of its id, as Java's default partitioner has it.

    Args:
        partitions: how many every co-partitioned topic has.
        metrics: counts strays.
    """

    def __init__(self, *, partitions: int, metrics: RoutingMetrics) -> None:
        self._home = lru_cache(_REMEMBERED)(lambda id_: partition_for(id_.encode(), partitions))
        self._metrics = metrics

    def sent_home(self, record: Record, seller_id: str) -> Output | None:
        """Return the record as it is to be written to its seller's partition; None if it is there.

        It gets the seller's key. It is a record of the same topic, so it comes round again.

        Raises:
            EventError: its headers make it too large to be written again.
        """
        home = self._home(seller_id)
        if home == record.partition:
            return None
        size = len(record.value or b"") + sum(
            len(name) + len(text or b"") for name, text in record.headers
        )
        if size > MAX_KEPT_BYTES:
            raise EventError(
                f"it lies in another partition than its seller's and is too large to be sent on: "
                f"{size} bytes with its headers"
            )
        log.warning(
            "a record lies in another partition than its seller's, sending it on",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            to=home,
        )
        self._metrics.misrouted.labels(record.topic).inc()
        return Output(
            topic=record.topic,
            partition=home,
            key=seller_id.encode(),
            value=record.value,
            headers=record.headers,
            timestamp_ms=record.timestamp_ms,
        )
