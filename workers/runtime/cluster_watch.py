"""Telling a quiet topic from a client that has lost the cluster for good.

Where a broker that is starting answers with no brokers but some topics, librdkafka (from 2.13,
still in 2.16) drops every broker it knows and never asks again: no message, no error, for ever
(confluentinc/librdkafka issue 5301). Only a new client helps.
"""

import time
from collections.abc import Callable

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from workers.errors import WorkersError

log = structlog.get_logger(__name__)

_QUIET_S = 20.0  # without a message, after which the cluster is asked; a retry comes as often
_ASK_S = 2.0  # for an answer; milliseconds, where there is one


class ClusterWatch:
    """Asks the cluster for a sign of life, through the very client that is to be trusted.

    Args:
        consumer: the client.
        topic: a topic that it may read, by its name on the cluster.
        give_up_after: seconds without any answer after which the client counts as lost.
        quiet: seconds without a message after which the cluster is asked.
        clock: a monotonic clock in seconds.
    """

    def __init__(
        self,
        consumer: Consumer,
        topic: str,
        *,
        give_up_after: float = 90.0,
        quiet: float = _QUIET_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer = consumer
        self._topic = topic
        self._give_up_after = give_up_after
        self._quiet = quiet
        self._clock = clock
        self._heard = self._asked = clock()

    def polled(self, messages: list[Message]) -> None:
        """Note what a poll brought; where it is long quiet, ask.

        Raises:
            WorkersError: the cluster has not answered this client for long.
        """
        now = self._clock()
        if any(_from_a_broker(message) for message in messages[:1] + messages[-1:]):
            self._heard = now
        elif now - max(self._heard, self._asked) >= self._quiet:
            self._ask()

    def _ask(self) -> None:
        try:
            self._consumer.list_topics(self._topic, timeout=_ASK_S)
        except KafkaException as error:
            silent = self._clock() - self._heard
            log.warning("the cluster does not answer", seconds=round(silent), error=str(error))
            if silent > self._give_up_after:
                raise WorkersError(
                    f"the cluster has not answered for {silent:.0f} s; a client may lose it for "
                    "good, so start the worker again"
                ) from error
        else:
            self._heard = self._clock()
        self._asked = self._clock()


def _from_a_broker(message: Message) -> bool:
    error = message.error()
    return error is None or error.code() == KafkaError._PARTITION_EOF
