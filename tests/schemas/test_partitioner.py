import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.partitioner import murmur2, partition_for

# Kafka's own: clients/src/test/java/org/apache/kafka/common/utils/UtilsTest.java, testMurmur2
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}

# librdkafka's own: src/rdmurmur2.c, unittest_murmur2; every length modulo four
LIBRDKAFKA = {
    b"kafka": 0xD067CF64,
    b"giberish123456789": 0x8F552B0C,
    b"1234": 0x9FC97B14,
    b"234": 0xE7C009CA,
    b"34": 0x873930DA,
    b"4": 0x5A4B5CA1,
    b"": 0x106E08D9,
}


@pytest.mark.parametrize(("key", "signed"), JAVA.items())
def test_hash_is_that_of_java(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32


@pytest.mark.parametrize(("key", "unsigned"), LIBRDKAFKA.items())
def test_hash_is_that_of_librdkafka(key: bytes, unsigned: int) -> None:
    assert murmur2(key) == unsigned


@pytest.mark.parametrize(("key", "signed"), JAVA.items())
@pytest.mark.parametrize("partitions", [1, 2, 3, 50, 10_000])
def test_a_negative_hash_loses_its_sign_bit(key: bytes, signed: int, partitions: int) -> None:
    # Utils.toPositive is `number & 0x7fffffff`: two to the 31 more, not the absolute value
    positive = signed if signed >= 0 else signed + 2**31
    assert partition_for(key, partitions) == positive % partitions


def test_known_partitions() -> None:
    assert partition_for(b"foobar", 50) == 16
    assert partition_for(b"21", 1) == 0


@given(st.binary(max_size=200), st.integers(1, 1000))
def test_every_key_has_a_partition(key: bytes, partitions: int) -> None:
    assert 0 <= partition_for(key, partitions) < partitions


@given(st.binary(max_size=40))
def test_hash_equals_the_definition_in_signed_32_bit_arithmetic(key: bytes) -> None:
    def signed(number: int) -> int:
        return (number + 2**31) % 2**32 - 2**31

    def shifted(number: int, bits: int) -> int:  # Java's >>>
        return (number % 2**32) >> bits

    m = 0x5BD1E995
    h = signed(0x9747B28C ^ len(key))
    for block in range(len(key) // 4):
        b0, b1, b2, b3 = key[4 * block : 4 * block + 4]
        k = signed((b0 + (b1 << 8) + (b2 << 16) + (b3 << 24)) * m)
        k = signed((k ^ shifted(k, 24)) * m)
        h = signed(h * m) ^ k
    tail = key[len(key) // 4 * 4 :]
    for place, byte in enumerate(tail):
        h ^= signed(byte << (8 * place))
    if tail:
        h = signed(h * m)
    h = signed((h ^ shifted(h, 13)) * m)
    h ^= shifted(h, 15)
    assert murmur2(key) == h % 2**32


@pytest.mark.parametrize("partitions", [0, -1])
def test_no_partition_is_an_error(partitions: int) -> None:
    with pytest.raises(ValueError, match="at least one partition"):
        partition_for(b"s", partitions)
