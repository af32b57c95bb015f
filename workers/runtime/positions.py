"""Where the inputs of a partition are read on from."""

from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

from workers.errors import ConfigurationError

_TIMEOUT_S = 10.0  # the loop stands still meanwhile; it asks again


def start_positions(
    consumer: Consumer, places: Sequence[TopicPartition], restored: Mapping[str, int]
) -> list[TopicPartition]:
    """Return `places` with offsets: the state's own, else the committed ones, else the start.

    Positions beside the state win over the group's: an offset that expired or was reset does
    not make a worker apply a record twice.

    Args:
        consumer: the member of the group.
        places: one partition of each input, by its name on the cluster.
        restored: the state's positions by name on the cluster.

    Raises:
        ConfigurationError: the state is ahead of an input, so it was counted from another one;
            or records were deleted before they were applied, and nobody has accepted that.
        KafkaException: the cluster does not say.
    """
    return [
        _checked(consumer, place, restored[place.topic])
        if place.topic in restored
        else _committed(consumer, place)
        for place in places
    ]


def _committed(consumer: Consumer, place: TopicPartition) -> TopicPartition:
    (found,) = consumer.committed([place], timeout=_TIMEOUT_S)
    if found.error is not None:
        raise KafkaException(found.error)
    if (offset := found.offset) < 0:
        # As a number, since what is written before the first record carries positions, too.
        offset, _ = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)
    place.offset = offset
    return place


def _checked(consumer: Consumer, place: TopicPartition, offset: int) -> TopicPartition:
    first, end = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)
    if offset > end:
        raise ConfigurationError(
            f"the state of partition {place.partition} is at {offset} of {place.topic}, which ends "
            f"at {end}: the topic is not the one that the state was counted from. Bring it back, "
            f"or move the state's folder away and start with new topics"
        )
    if offset < first:
        # The group's offset is written with the state, so only an operator can have moved it on.
        (group,) = consumer.committed([place], timeout=_TIMEOUT_S)
        if group.error is not None:
            raise KafkaException(group.error)
        if group.offset < first:
            raise ConfigurationError(
                f"{first - offset} records of {place.topic}, partition {place.partition}, were "
                f"deleted before they were applied: the state is at {offset}, the first record "
                f"is {first} (markers of transactions count, too). Bring them back; or accept that "
                f"they are missing by setting the "
                f"group's offset with Kafka's own kafka-consumer-groups --reset-offsets "
                f"--to-earliest, and start again"
            )
        offset = first
    place.offset = offset
    return place
