"""The partition of a key as Kafka's Java clients choose it: murmur2, seed 0x9747b28c.

librdkafka does the same with `partitioner=murmur2_random`; its own default (CRC32) does not.
"""

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_SEED = 0x9747B28C


def murmur2(data: bytes) -> int:
    """Return the 32-bit hash of Java's `org.apache.kafka.common.utils.Utils.murmur2`, unsigned."""
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _MASK
        k ^= k >> 24
        h = (h * _M ^ k * _M) & _MASK
    if whole < length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h ^= h >> 13
    h = h * _M & _MASK
    return h ^ h >> 15


def partition_for(key: bytes, partitions: int) -> int:
    """Return the partition, 0 to `partitions` - 1, in which every record with this key lies.

    Raises:
        ValueError: there is no partition to choose from.
    """
    if partitions < 1:
        raise ValueError(f"a topic has at least one partition, not {partitions}")
    if partitions == 1:
        return 0
    return (murmur2(key) & 0x7FFFFFFF) % partitions  # toPositive clears the sign bit
