"""Options of the librdkafka clients that the loop uses, each with its reason."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.topics import MAX_DEAD_LETTER_BYTES
from workers.runtime.logging import LIBRDKAFKA

Options = dict[str, Any]
"""Options of a librdkafka client, as its Python classes take them."""


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """What all clients of one worker share; `extra` is any librdkafka option (TLS, SASL...)."""

    bootstrap_servers: str
    instance_id: str | None = None
    advertised_address: str | None = None
    session_timeout_ms: int = 10_000
    max_poll_interval_ms: int = 300_000
    transaction_timeout_ms: int = 15_000
    extra: Mapping[str, str] = field(default_factory=dict)

    def common(self) -> Options:
        """Return what every client is given."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            # The client's own log lines take the way of ours.
            "logger": logging.getLogger(LIBRDKAFKA),
            **self.extra,
        }

    def group_consumer(self, group: str, *, name: str = "worker") -> Options:
        """Return the options of the consumer whose offsets go into the transaction.

        With an advertised address its `client.id` is `secondsight-NAME@ADDRESS`: the coordinator
        tells it with the member's partitions to whoever looks for their owner.
        """
        options = {
            **self._reader(),
            "group.id": group,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": self.session_timeout_ms,
            "heartbeat.interval.ms": max(1, self.session_timeout_ms // 4),
            "max.poll.interval.ms": self.max_poll_interval_ms,
        }
        if self.instance_id is not None:
            options["group.instance.id"] = self.instance_id
        if self.advertised_address is not None:
            options["client.id"] = f"secondsight-{name}@{self.advertised_address}"
        return options

    def log_reader(self) -> Options:
        """Return the options of a consumer that reads whole partitions outside of any group."""
        return {
            **self._reader(),
            "group.id": "secondsight-log-reader",  # required by the client, never joined
        }

    def _reader(self) -> Options:
        return {
            "fetch.wait.max.ms": 50,
            # After its queue was full librdkafka pauses fetching for this long; the default of a
            # second starves a fast loop.
            "fetch.queue.backoff.ms": 5,
            **self.common(),
            "enable.auto.commit": False,
            # Every reader is told where to start. Where that is gone, going on silently from
            # elsewhere would lose what was deleted.
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            # The merge and the restore have to know when the end of a log is reached (KIP-695).
            "enable.partition.eof": True,
            "fetch.message.max.bytes": MAX_DEAD_LETTER_BYTES,
            "allow.auto.create.topics": False,
        }

    def transactional_producer(self, transactional_id: str) -> Options:
        """Return the options of the producer of one worker process."""
        return {
            "compression.type": "lz4",
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
            **self.common(),
            "transactional.id": transactional_id,
            "transaction.timeout.ms": self.transaction_timeout_ms,
            "message.max.bytes": MAX_DEAD_LETTER_BYTES,
        }

    def plain_producer(self) -> Options:
        """Return the options of a producer of single records, outside of any transaction."""
        return {
            **self.common(),
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "message.max.bytes": MAX_DEAD_LETTER_BYTES,
        }
