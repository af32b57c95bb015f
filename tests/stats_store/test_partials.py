from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stats_store.errors import CorruptHistogramError, CorruptRecordError
from stats_store.histogram import PriceHistogram
from stats_store.partials import RemoteParts
from stats_store.scope import ScopeKey

KEYS = [ScopeKey.overall("GBP"), ScopeKey.category("GBP", "Hats"), ScopeKey.overall("EUR")]
PARTITIONS = range(4)


def encoded(values: list[int]) -> bytes:
    histogram = PriceHistogram()
    histogram.add_many(values)
    return histogram.to_bytes()


updates = st.tuples(
    st.sampled_from(PARTITIONS),
    st.sampled_from(KEYS),
    st.none() | st.lists(st.integers(1, 10_000), max_size=5),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(updates, max_size=30))
def test_totals_are_the_sum_of_the_latest_parts_of_the_others(
    history: list[tuple[int, ScopeKey, list[int] | None]],
) -> None:
    remote = RemoteParts()
    latest: dict[tuple[ScopeKey, int], list[int]] = {}
    for partition, key, values in history:
        remote.apply(partition, key.to_bytes(), None if values is None else encoded(values))
        if values is None:
            latest.pop((key, partition), None)
        else:
            latest[key, partition] = values
        for own in (*PARTITIONS, 9):
            others = {p: latest[key, p] for p in PARTITIONS if p != own and (key, p) in latest}
            total = remote.total(key, without=own)
            assert (total is None) == (not others)
            if total is not None:
                expected = Counter[int]()
                for part in others.values():
                    expected.update(part)
                assert total.to_bytes() == encoded(list(expected.elements()))
    for partition in PARTITIONS:
        held = {key.to_bytes(): encoded(v) for (key, p), v in latest.items() if p == partition}
        assert remote.published(partition) == held


def test_what_is_no_part_is_refused_and_changes_nothing() -> None:
    remote = RemoteParts()
    key = KEYS[0].to_bytes()
    remote.apply(1, key, encoded([5]))
    with pytest.raises(CorruptRecordError):
        remote.apply(1, ScopeKey.seller("GBP", "anna").to_bytes(), encoded([5]))
    with pytest.raises(CorruptRecordError):
        remote.apply(1, b"", encoded([5]))
    assert remote.published(1) == {key: encoded([5])}
    total = remote.total(KEYS[0], without=0)
    assert total is not None
    assert total.sum == 5


def test_a_part_that_is_no_histogram_is_in_no_sum_until_a_good_one_replaces_it() -> None:
    remote = RemoteParts()
    key = KEYS[0].to_bytes()
    remote.apply(1, key, b"nonsense")
    with pytest.raises(CorruptHistogramError):
        remote.total(KEYS[0], without=0)
    assert remote.total(KEYS[0], without=1) is None
    remote.apply(1, key, encoded([5]))
    total = remote.total(KEYS[0], without=0)
    assert total is not None
    assert total.sum == 5
