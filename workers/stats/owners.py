"""Which worker holds a partition: what the group's coordinator says of its members."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from workers.errors import WorkersError
from workers.runtime.clients import Options

_TIMEOUT_S = 5.0
_VALID_S = 2.0  # so that many questions ask the coordinator once
_ANNOUNCED = re.compile(
    r"secondsight-[a-z]+@([\w.-]+:\d{1,5}|\[[0-9A-Fa-f:.]+\]:\d{1,5})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Owner:
    """A member of the group: the address it announces, if any, and the host the broker sees."""

    address: str | None
    host: str


class Owners:
    """Finds the owners of partitions. Safe to use from several threads.

    A worker announces its address in the `client.id` of its group consumer, which the coordinator
    tells with the member's partitions: no topic is needed for it, and it ends with the member.

    Args:
        options: of an admin client.
        group: the workers' consumer group.
        topic: name on the cluster of the input whose partitions the group balances.
        clock: seconds that only go up.
    """

    def __init__(
        self,
        options: Options,
        *,
        group: str,
        topic: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._group = group
        self._topic = topic
        self._clock = clock
        self._lock = threading.Lock()
        self._admin: AdminClient | None = None
        self._known: dict[int, Owner] = {}
        self._known_until = float("-inf")

    def of(self, partition: int) -> Owner | None:
        """Return who holds a partition, as of at most two seconds ago; None: nobody.

        Raises:
            WorkersError: the cluster does not say.
        """
        with self._lock:
            if self._clock() >= self._known_until:
                self._known = self._ask()
                self._known_until = self._clock() + _VALID_S
            return self._known.get(partition)

    def _ask(self) -> dict[int, Owner]:
        if self._admin is None:
            self._admin = AdminClient(self._options)
        answer = self._admin.describe_consumer_groups([self._group], request_timeout=_TIMEOUT_S)
        try:
            members = answer[self._group].result().members
        except KafkaException as error:
            raise WorkersError(
                f"Kafka does not say who holds which partition: {error.args[0].str()}"
            ) from error
        owners = {}
        for member in members:
            announced = _ANNOUNCED.fullmatch(member.client_id)
            owner = Owner(announced and announced[1], member.host.removeprefix("/"))
            for place in member.assignment.topic_partitions if member.assignment else ():
                if place.topic == self._topic:
                    owners[place.partition] = owner
        return owners
