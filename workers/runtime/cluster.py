"""What a worker asks the cluster about its topics before it starts."""

from collections.abc import Iterable

from confluent_kafka.admin import AdminClient

from workers.errors import ConfigurationError
from workers.runtime.clients import Options


def co_partitions(options: Options, topics: Iterable[str], *, timeout: float) -> int:
    """Return the number of partitions that all of the topics have.

    Args:
        options: librdkafka options of an admin client.
        topics: names on the cluster.
        timeout: seconds to wait for the cluster.

    Raises:
        ConfigurationError: a topic is missing, or the numbers differ.
        KafkaException: the cluster cannot be reached.
    """
    known = AdminClient(options).list_topics(timeout=timeout).topics
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
