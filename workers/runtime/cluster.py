"""What a worker asks the cluster about its topics before it starts."""

from collections.abc import Iterable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from workers.errors import ConfigurationError, WorkersError
from workers.runtime.clients import Options


def co_partitions(options: Options, topics: Iterable[str], *, timeout: float) -> int:
    """Return the number of partitions that all of the topics have.

    Args:
        options: librdkafka options of an admin client.
        topics: names on the cluster.
        timeout: seconds to wait for the cluster.

    Raises:
        ConfigurationError: a topic is missing, or the numbers differ.
        WorkersError: the cluster cannot be reached.
    """
    admin = AdminClient(options)
    try:
        known = admin.list_topics(timeout=timeout).topics
    except KafkaException as error:
        raise WorkersError(
            f"Kafka at {options['bootstrap.servers']} does not answer within {timeout:.0f} s: "
            f"{error.args[0].str()}"
        ) from error
    numbers = {topic: len(known[topic].partitions) if topic in known else 0 for topic in topics}
    if missing := sorted(topic for topic, number in numbers.items() if not number):
        raise ConfigurationError(
            f"topics missing on the cluster: {', '.join(missing)}; create them with "
            f"'secondsight topics'"
        )
    if len(set(numbers.values())) > 1:
        listed = ", ".join(f"{topic} {number}" for topic, number in sorted(numbers.items()))
        raise ConfigurationError(
            f"topics that belong together have different numbers of partitions ({listed}); a "
            f"seller's events would be torn apart. Give all of them the same number"
        )
    return next(iter(numbers.values()))
