"""What the harness asks of the cluster: topics, groups, and all that was committed."""

import time
import uuid
from collections.abc import Iterable, Mapping
from typing import cast

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from tests.torture.recount import Entry
from workers.topics import create_topics

DEADLINE_S = 120.0
ANSWER_S = 20.0  # above the request's own time-out
Where = tuple[str, int]
"""Topic, by its contract name, and partition."""


class Cluster:
    """A broker's topics under one prefix. Its answers are of the moment of the call."""

    def __init__(self, servers: str, *, prefix: str, partitions: int) -> None:
        self.servers, self.prefix, self.partitions = servers, prefix, partitions
        self.group = f"{prefix}secondsight-stats"
        self._options: dict[str, str | int | float] = {"bootstrap.servers": servers, "log_level": 0}

    def admin(self) -> AdminClient:
        """Return a new client, to be kept until its answers are there.

        One of before the broker was killed may be in its back-off.
        """
        return AdminClient(dict(self._options))

    def create_topics(self) -> None:
        """Create the topics of the contract, keeping all records."""
        create_topics(
            self._options,
            prefix=self.prefix,
            partitions=self.partitions,
            replication_factor=1,
            keep_all=True,
        )

    def places(self, *topics: str) -> list[Where]:
        """Return all partitions of topics."""
        return [(topic, partition) for topic in topics for partition in range(self.partitions)]

    def ends(self, places: Iterable[Where], *, committed: bool) -> dict[Where, int]:
        """Return the high watermarks, or the last stable offsets where `committed`."""
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        admin = self.admin()
        answers = admin.list_offsets(
            {self._place(place): OffsetSpec.latest() for place in places},  # type: ignore[no-untyped-call]
            isolation_level=level,
            request_timeout=10.0,
        )
        return {
            (tp.topic.removeprefix(self.prefix), tp.partition): int(answer.result(ANSWER_S).offset)
            for tp, answer in answers.items()
        }

    def positions(self, places: Iterable[Where]) -> dict[Where, int]:
        """Return the group's committed offsets; 0 where there is none."""
        consumer = Consumer({**self._options, "group.id": self.group})
        try:
            found = consumer.committed([self._place(place) for place in places], timeout=30.0)
        finally:
            consumer.close()
        for tp in found:
            if tp.error is not None:
                raise KafkaException(tp.error)
        return {
            (tp.topic.removeprefix(self.prefix), tp.partition): max(0, tp.offset) for tp in found
        }

    def members(self) -> dict[str, set[int]]:
        """Return the partitions of each member of the group by its instance id, "" for none."""
        admin = self.admin()
        answers = admin.describe_consumer_groups([self.group], request_timeout=10.0)
        members: dict[str, set[int]] = {}
        for member in answers[self.group].result(ANSWER_S).members:
            held = {tp.partition for tp in member.assignment.topic_partitions}
            members.setdefault(member.group_instance_id or "", set()).update(held)
        return members

    def read(self, *topics: str) -> list[Entry]:
        """Return all committed records, by topic, partition and offset."""
        consumer = Consumer(
            {
                **self._options,
                "group.id": f"torture-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "fetch.message.max.bytes": 4 * 2**20,
            }
        )
        unfinished = set(self.places(*topics))
        entries: list[Entry] = []
        try:
            consumer.assign([self._place(place, 0) for place in unfinished])
            deadline = time.monotonic() + DEADLINE_S
            while unfinished:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no end of {sorted(unfinished)} in {DEADLINE_S} s")
                for message in consumer.consume(10_000, 0.1):
                    topic = cast(str, message.topic()).removeprefix(self.prefix)
                    partition = cast(int, message.partition())
                    if (error := message.error()) is None:
                        headers = cast(list[tuple[str, bytes]], message.headers() or [])
                        offset = cast(int, message.offset())
                        key, value = message.key(), message.value()
                        entries.append(Entry(topic, partition, offset, key, value, dict(headers)))
                    elif error.code() == KafkaError._PARTITION_EOF:
                        unfinished.discard((topic, partition))
                    elif error.fatal() or not error.retriable():
                        raise KafkaException(error)
        finally:
            consumer.close()
        return sorted(entries, key=lambda entry: entry.place)

    def _place(self, place: Where, offset: int | None = None) -> TopicPartition:
        topic, partition = place
        if offset is None:
            return TopicPartition(self.prefix + topic, partition)
        return TopicPartition(self.prefix + topic, partition, offset)


def last_offsets(entries: Iterable[Entry]) -> Mapping[Where, int]:
    """Return the offset after the last record of each partition; control records do not count."""
    return {(entry.topic, entry.partition): entry.offset + 1 for entry in entries}
