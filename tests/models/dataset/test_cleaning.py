import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.dataset.cleaning import PriceCut, PriceLimits, rational_limits


def test_fences_by_hand() -> None:
    # logs of 2^0 .. 2^8: quartiles 2^2 and 2^6, 1.5 x 4 beyond them: 2^-4 .. 2^12
    powers = [2**n for n in range(9)]
    assert rational_limits(powers) == PriceLimits(1, 256)
    # 11 prices: quartiles 2^2.5 and 2^7.5, fences 2^-5 .. 2^15: both ends are drawn in to a price
    assert rational_limits([*powers, 2**14, 2**16]) == PriceLimits(1, 2**14)
    assert rational_limits([*powers, 2**14, 2**14]) == PriceLimits(1, 2**14)
    assert rational_limits([*powers, 2**20, 2**30]) == PriceLimits(1, 256)


def test_nonsense_goes_however_much_of_it_there_is_up_to_a_tenth() -> None:
    rng = np.random.default_rng(0)
    sound = np.exp(rng.normal(8, 1, 900)).astype(int).tolist()
    absurd = [2, 3] * 25 + [10**9] * 50
    limits = rational_limits(sound + absurd)
    assert limits.low_minor > 3
    assert limits.high_minor < 10**8
    kept = sum(map(limits.contain, sound))
    assert kept >= 0.98 * len(sound)
    assert not any(map(limits.contain, absurd))


def test_zeros_are_no_prices() -> None:
    assert rational_limits([0] * 50 + [7, 8, 9]) == PriceLimits(7, 9)
    with pytest.raises(ValueError, match="no price is above zero"):
        rational_limits([0, 0])


def test_where_most_prices_are_the_same_the_others_stay() -> None:
    # e ** 1.5 = 4.48 times 1000, either way
    assert rational_limits([1000] * 9 + [250, 4000, 5000]) == PriceLimits(250, 4000)


def test_both_limits_are_rational_prices() -> None:
    limits = PriceLimits(3, 5)
    assert [limits.contain(price) for price in (None, 2, 3, 5, 6)] == [
        False,
        False,
        True,
        True,
        False,
    ]


def test_what_is_cut_of_a_part() -> None:
    prices = [None, 0, 1, 2, 3, 4, 5, 6, 60, 600]
    cut = PriceCut.of(prices, PriceLimits(3, 5))
    assert cut == PriceCut(listings=10, priced=8, cut_low=2, cut_high=3)
    assert cut.share == 5 / 8
    assert PriceCut.of([None, 0], PriceLimits(3, 5)).share == 0


@given(st.lists(st.integers(0, 10**15), min_size=1))
def test_the_middle_half_is_always_rational(prices: list[int]) -> None:
    positive = [price for price in prices if price > 0]
    if not positive:
        return
    limits = rational_limits(prices)
    middle = np.quantile(np.log(positive), [0.25, 0.75])
    for price in positive:
        if middle[0] <= math.log(price) <= middle[1]:
            assert limits.contain(price)
