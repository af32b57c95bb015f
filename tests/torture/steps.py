"""The steps of the stats worker at which it can be killed, frozen or held, by name."""

from collections.abc import Mapping

STEPS: Mapping[str, str] = {
    "before-transaction": "the batch is applied in memory, no transaction has begun",
    "in-transaction": "all records are with the broker, the commit has not been asked for",
    "after-transaction": "the transaction stands, its producer has not returned",
    "before-write": "between the transaction and the WriteBatch of a partition",
    "in-write": "in the WriteBatch: the kernel ends the process so many microseconds into it",
    "after-write": "one partition is durable, the others of the batch are not yet",
    "in-restore": "before a batch of the changelog is applied to an emptied folder",
    "after-restore": "the changelog is applied, the partition has not been started",
    "in-assign": "partitions were just assigned, their stores are not open yet",
    "in-revoke": "partitions are being taken away, their stores are still open",
}
"""Each step's name and what is true at it."""

AT_COMMIT = (
    "before-transaction",
    "in-transaction",
    "after-transaction",
    "before-write",
    "in-write",
    "after-write",
)
"""The steps that every worker passes again and again while there are records."""
