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
)


def raise_if_final(error: KafkaError) -> None:
    """Log an error that a consumer reported, or raise it where it will not pass.

    Raises:
        WorkersError: the client has failed for good, may not read, or the topic is gone.
    """
    if error.fatal() or error.code() in _FINAL:
        raise WorkersError(f"the consumer cannot go on: {error.str()}")
    log.warning("consumer error, the client retries", error=error.str())
