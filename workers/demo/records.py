"""The demo's records, as a listing service and a payment service would publish them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from schemas.cloudevents import encode
from workers.replay.sources import BY_KEY, Publication
from workers.replay.timeline import TimedEvent

SOURCE = "/secondsight/demo"


@dataclass(frozen=True, slots=True)
class Records:
    """Records as `workers.replay.publishing` takes them."""

    records: Sequence[Publication]

    def publications(self, partitions: Mapping[str, int]) -> Iterator[Publication]:  # noqa: ARG002
        """Yield the records."""
        return iter(self.records)


def record_of(timed: TimedEvent) -> Publication:
    """Return the record of an event."""
    return Publication(
        where=f"event {timed.event_id}",
        topic=timed.topic,
        partition=BY_KEY,
        key=timed.key,
        value=timed.event.to_bytes(),
        headers=encode(
            timed.event,
            event_id=timed.event_id,
            source=SOURCE,
            time=timed.time,
            subject=timed.subject,
        ),
        timestamp_ms=timed.timestamp_ms,
        due_ms=int(timed.publish_at.timestamp() * 1000),
    )
