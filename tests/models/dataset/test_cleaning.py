import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.dataset.cleaning import PriceLimits, rational_limits


def test_five_percent_go_half_from_each_end() -> None:
    # 100 prices: 5 to drop, 2 at each end
    assert rational_limits([*range(1, 101)]) == PriceLimits(3, 98)


def test_zeros_are_no_prices_and_count_towards_the_share() -> None:
    # 100 rows, 3 of them 0: 2 left to drop, 1 at each end
    assert rational_limits([0, 0, 0, *range(10, 107)]) == PriceLimits(11, 105)
    # more zeros than the share: nothing else goes
    assert rational_limits([0] * 50 + [7, 8, 9]) == PriceLimits(7, 9)


def test_no_price_above_zero() -> None:
    with pytest.raises(ValueError, match="no price is above zero"):
        rational_limits([0, 0])


def test_both_limits_are_rational_prices() -> None:
    limits = PriceLimits(3, 5)
    assert [limits.contain(price) for price in (None, 2, 3, 5, 6)] == [
        False,
        False,
        True,
        True,
        False,
    ]


@given(st.lists(st.integers(0, 10**15), min_size=1), st.floats(0, 1))
def test_never_more_than_the_share_is_cut(prices: list[int], share: float) -> None:
    positive = [price for price in prices if price > 0]
    if not positive:
        return
    limits = rational_limits(prices, irrational_share=share)
    cut = [price for price in positive if not limits.contain(price)]
    assert limits.low_minor <= limits.high_minor
    assert len(cut) <= share * len(prices)
