import pytest

from models.extractors.buckets import bucket_of, bucket_sizes


def test_sizes_of_a_batch_of_64() -> None:
    assert bucket_sizes(64) == (1, 2, 4, 8, 16, 24, 32, 40, 48, 56, 64)


@pytest.mark.parametrize("limit", range(1, 131))
def test_every_count_fits_its_bucket_with_little_padding(limit: int) -> None:
    sizes = bucket_sizes(limit)
    assert list(sizes) == sorted(set(sizes))
    assert sizes[-1] == limit
    for count in range(1, limit + 1):
        size = bucket_of(count, sizes)
        assert size == min(each for each in sizes if each >= count)
        assert size - count <= min(7, count - 1)
