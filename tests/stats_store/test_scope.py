import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.statistics import Scope
from stats_store.errors import CorruptRecordError
from stats_store.scope import ScopeKey

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)
currencies = st.sampled_from(["EUR", "GBP", "JPY", "USD"])
keys = st.one_of(
    st.builds(ScopeKey.seller, currencies, names),
    st.builds(ScopeKey.category, currencies, names),
    st.builds(ScopeKey.overall, currencies),
)


@given(keys)
def test_trip_to_bytes_and_back(key: ScopeKey) -> None:
    assert ScopeKey.from_bytes(key.to_bytes()) == key


@given(st.lists(keys))
def test_bytes_sort_as_keys_do(some: list[ScopeKey]) -> None:
    assert sorted(some) == [ScopeKey.from_bytes(b) for b in sorted(k.to_bytes() for k in some)]


def test_byte_form_is_pinned() -> None:
    assert ScopeKey(Scope.SELLER, "GBP", "anna").to_bytes() == b"sGBPanna"
    assert ScopeKey.category("JPY", "靴").to_bytes() == b"cJPY" + "靴".encode()
    assert ScopeKey.overall("EUR").to_bytes() == b"gEUR"


@pytest.mark.parametrize(
    "wrong", [b"", b"x", b"sGB", b"sGBP", b"cEUR", b"gEURx", b"zEURx", b"sEUR\xff"]
)
def test_foreign_bytes_are_refused(wrong: bytes) -> None:
    with pytest.raises(CorruptRecordError):
        ScopeKey.from_bytes(wrong)
