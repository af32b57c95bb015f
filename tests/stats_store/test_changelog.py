from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stats_store.changelog import check, pack_sales, unpack_sales
from stats_store.errors import CorruptRecordError

entries = st.lists(st.tuples(st.binary(max_size=20).map(lambda key: b"s" + key), st.binary()))


@given(entries)
def test_packed_sales_are_unpacked_in_order(entries: Sequence[tuple[bytes, bytes]]) -> None:
    packs = pack_sales(entries, position=7, day=20_000)
    unpacked = [entry for _, value in packs for entry in unpack_sales(value)]
    assert unpacked == entries


def test_no_two_records_of_packed_sales_share_a_key() -> None:
    longest = [(b"s" + bytes(1026), bytes(2600))] * 1_000  # names of four bytes a character
    packs = [*pack_sales(longest, position=7, day=1), *pack_sales(longest, position=8, day=1)]
    assert len({key for key, _ in packs}) == len(packs) > 2
    assert max(len(value) for _, value in packs) < 1_000_000
    for key, value in packs:
        check(key, value)


@pytest.mark.parametrize("cut", [0, 1, 5, 12, -1])
def test_a_record_of_packed_sales_that_is_cut_is_refused(cut: int) -> None:
    ((_, value),) = pack_sales([(b"sa\0b", b"one"), (b"sc\0d", b"two")], position=0, day=1)
    with pytest.raises(CorruptRecordError):
        list(unpack_sales(value[:cut]))


def test_a_record_that_packs_something_else_is_refused() -> None:
    ((_, value),) = pack_sales([(b"hgGBP", b"one")], position=0, day=1)
    with pytest.raises(CorruptRecordError):
        list(unpack_sales(value))
