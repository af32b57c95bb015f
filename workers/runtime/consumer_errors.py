"""Which errors of a consumer end a worker, and which its client gets over by itself."""

import structlog
from confluent_kafka import KafkaError

from workers.errors import WorkersError

log = structlog.get_logger(__name__)

# Nobody gets over these by trying again; all others the client retries, whatever it calls them.
_FINAL = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    # A member that was fenced, for one. As an event it is not marked `fatal()`, and the client
    # would go on for ever without partitions.
    KafkaError._FATAL,
)


def is_final(error: KafkaError) -> bool:
    """Say whether trying again is of no use."""
    return error.fatal() or error.code() in _FINAL


def raise_if_final(error: KafkaError) -> None:
    """Log an error that a consumer reported, or raise it where it will not pass.

    Raises:
        WorkersError: the client has failed for good, may not read, or the topic or the records
            to read next are gone.
    """
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        raise WorkersError(
            f"records were deleted before they were read ({error.str()}): start the worker again, "
            "it says how many and what can be done"
        )
    if is_final(error):
        raise WorkersError(f"the consumer cannot go on: {error.str()}")
    log.warning("consumer error, the client retries", error=error.str())
