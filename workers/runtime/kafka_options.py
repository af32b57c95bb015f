"""librdkafka options that an operator passes through: which are refused, which are hidden."""

import json
import re
from collections.abc import Mapping

# Options that carry the promise of exactly once, or that have a setting of their own; each with
# what to say to those who try.
_OWN: Mapping[str, str] = {
    "bootstrap.servers": "set SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS instead",
    "metadata.broker.list": "set SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS instead",
    "group.id": "set SECONDSIGHT_TOPIC_PREFIX to keep several systems apart",
    "group.instance.id": "set SECONDSIGHT_INSTANCE_ID instead",
    "transactional.id": "set SECONDSIGHT_INSTANCE_ID instead",
    "transaction.timeout.ms": "set SECONDSIGHT_TRANSACTION_TIMEOUT_MS instead",
    "session.timeout.ms": "set SECONDSIGHT_SESSION_TIMEOUT_MS instead",
    "max.poll.interval.ms": "set SECONDSIGHT_MAX_POLL_INTERVAL_MS instead",
    "enable.auto.commit": "offsets are committed inside the transaction of their batch",
    "auto.commit.enable": "offsets are committed inside the transaction of their batch",
    "enable.auto.offset.store": "offsets are committed inside the transaction of their batch",
    "auto.offset.reset": "a worker says itself where it reads from, or sales would be missed",
    "isolation.level": "aborted records must not be read",
    "enable.idempotence": "transactions need it",
    "acks": "transactions need all of them",
    "request.required.acks": "transactions need all of them",
    "partitioner": "records of a seller must meet in one partition",
    "partition.assignment.strategy": "partitions are handed over cooperatively",
    "group.protocol": "partitions are handed over by the classic protocol",
    "enable.partition.eof": "the merge of the inputs relies on it",
    "default.topic.config": "name the topic option itself",
}

_SECRET = re.compile(r"password|secret|pem|token|jaas|credential|oauthbearer\.config|key$")


def parse(value: object) -> dict[str, str]:
    """Give the options as strings, from a JSON object or its text.

    Raises ValueError for anything else; the message never repeats a value, it may be a password.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError('it is not JSON; write it as {"security.protocol": "SSL"}') from None
    if not isinstance(value, Mapping):
        raise ValueError('it is not a JSON object, as {"security.protocol": "SSL"} is one')
    options = {}
    for name, option in value.items():
        if not isinstance(option, (str, int, float)):
            raise ValueError(f"the value of {name} should be a string, a number, true or false")
        # librdkafka knows true and false, not Python's True and False.
        options[str(name)] = option if isinstance(option, str) else json.dumps(option)
    return options


def check(options: Mapping[str, str]) -> None:
    """Raise ValueError when an option is one of ours, is unknown, or has a value that is none."""
    for name in options:
        if name in _OWN:
            raise ValueError(f"{name} cannot be set here: {_OWN[name]}")
    if options:
        from confluent_kafka import KafkaException, Producer  # not needed by those who set none

        try:
            # A client that is told of no broker connects to none, but checks its options.
            Producer({**options, "log_level": "0"})
        except KafkaException as error:
            raise ValueError(f"librdkafka refuses it: {error.args[0].str()}") from None


def hide_secrets(options: Mapping[str, str]) -> dict[str, str]:
    """Give the options with the values of passwords, keys and tokens replaced."""
    return {
        name: "(hidden)" if _SECRET.search(name.lower()) else value
        for name, value in options.items()
    }
