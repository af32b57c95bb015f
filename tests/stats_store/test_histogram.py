import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.money import MAX_MINOR_UNITS
from stats_store.buckets import BUCKETS, HIGHEST, LOWEST, bucket_of, buckets_of
from stats_store.errors import CorruptHistogramError, EmptyHistogramError, NothingToRemoveError
from stats_store.histogram import PriceHistogram

small = st.integers(1, 300)
usual = st.integers(1, 10**6)
any_size = st.integers(0, 50).flatmap(lambda bits: st.integers(1, min(2**bits, MAX_MINOR_UNITS)))
price = st.one_of(small, usual, any_size)


def many_prices(seed: int, size: int, spread: float) -> list[int]:
    draw = np.random.default_rng(seed).lognormal(8.0, spread, size)
    values: list[int] = np.clip(draw, 1, MAX_MINOR_UNITS).astype(np.int64).tolist()
    return values


few_prices = st.lists(price, max_size=40)
# Hundreds of buckets, which are kept in another form than a few.
prices = few_prices | st.builds(
    many_prices, st.integers(0, 2**32), st.integers(60, 1500), st.floats(0.1, 4.0)
)
some_prices = prices.filter(bool)
bounded = settings(max_examples=60, deadline=None)


def histogram_of(values: list[int]) -> PriceHistogram:
    histogram = PriceHistogram()
    histogram.add_many(values)
    return histogram


def nearest_rank(values: list[int], q: Fraction) -> int:
    return sorted(values)[max(1, math.ceil(q * len(values))) - 1]


def test_buckets_tile_the_prices_without_gap_or_overlap() -> None:
    assert LOWEST[0] == 0
    assert (LOWEST[1:] == HIGHEST[:-1] + 1).all()
    assert HIGHEST[-1] >= MAX_MINOR_UNITS
    assert BUCKETS < 2**16


@bounded
@given(prices)
def test_bucket_holds_its_price_one_by_one_and_in_an_array(values: list[int]) -> None:
    found = buckets_of(np.array(values, dtype=np.int64)).tolist()
    assert found == [bucket_of(value) for value in values]
    for value, bucket in zip(values, found, strict=True):
        assert LOWEST[bucket] <= value <= HIGHEST[bucket]


@bounded
@given(prices, st.randoms(use_true_random=False), st.integers(1, 100))
def test_bytes_do_not_depend_on_order_or_batches(
    values: list[int], chance: random.Random, batch: int
) -> None:
    expected = histogram_of(values).to_bytes()
    shuffled = list(values)
    chance.shuffle(shuffled)
    histogram = PriceHistogram()
    for start in range(0, len(shuffled), batch):
        histogram.add_many(np.array(shuffled[start : start + batch], dtype=np.int64))
        if start % 3 == 0:
            histogram.to_bytes()
    assert histogram.to_bytes() == expected
    one_by_one = PriceHistogram()
    for value in shuffled:
        one_by_one.add(value)
        one_by_one.to_bytes()  # what is kept of it must not outlive the next change
    assert one_by_one.to_bytes() == expected


@bounded
@given(prices, prices)
def test_what_was_added_and_removed_leaves_no_trace(kept: list[int], gone: list[int]) -> None:
    histogram = histogram_of(kept + gone)
    histogram.remove_many(np.array(gone, dtype=np.int64))
    assert histogram.to_bytes() == histogram_of(kept).to_bytes()
    assert (histogram.count, histogram.sum) == (len(kept), sum(kept))
    for value in kept[:50]:
        histogram.remove(value)
    histogram.remove_many(kept[50:])
    assert histogram.to_bytes() == PriceHistogram().to_bytes()


@bounded
@given(prices, prices)
def test_merge_is_the_union_and_subtract_undoes_it(first: list[int], second: list[int]) -> None:
    other = histogram_of(second)
    merged = histogram_of(first)
    merged.to_bytes()
    merged.merge(other)
    assert merged.to_bytes() == histogram_of(first + second).to_bytes()
    merged.subtract(other)
    assert merged.to_bytes() == histogram_of(first).to_bytes()
    assert other.to_bytes() == histogram_of(second).to_bytes()


@bounded
@given(some_prices, st.integers(0, 1000), st.integers(1, 1000))
def test_quantile_is_within_four_per_mille_of_the_nearest_rank(
    values: list[int], part: int, whole: int
) -> None:
    numerator, denominator = min(part, whole), whole
    exact = nearest_rank(values, Fraction(numerator, denominator))
    found = histogram_of(values).quantile(numerator, denominator)
    assert abs(found - exact) * 1000 <= 4 * exact
    if exact < 256:
        assert found == exact


@bounded
@given(some_prices)
def test_quartiles_and_mean(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert histogram.quartiles() == tuple(histogram.quantile(k, 4) for k in (1, 2, 3))
    assert histogram.mean() == math.floor(Fraction(sum(values), len(values)) + Fraction(1, 2))


def test_quartiles_of_few_exact_prices() -> None:
    assert histogram_of([10, 20, 30, 40]).quartiles() == (10, 20, 30)
    assert histogram_of([10, 20, 30, 40, 50]).quartiles() == (20, 30, 40)
    assert histogram_of([7]).quartiles() == (7, 7, 7)
    assert histogram_of([1, 2]).mean() == 2  # 1.5 rounds up


@bounded
@given(prices)
def test_trip_to_bytes_and_back(values: list[int]) -> None:
    histogram = histogram_of(values)
    encoded = histogram.to_bytes()
    again = PriceHistogram.from_bytes(encoded)
    assert again.to_bytes() == encoded
    assert (again.count, again.sum) == (len(values), sum(values))
    again.add_many([5, 5])
    assert again.to_bytes() == histogram_of([*values, 5, 5]).to_bytes()


@pytest.mark.parametrize("repeats", [1, 255, 256, 65_535, 65_536])
@pytest.mark.parametrize("spread", [1, 64, 65, 500])
def test_counts_of_every_width_and_form(repeats: int, spread: int) -> None:
    values = [*([300] * repeats), *range(1, 256), *(1000 * k for k in range(spread))][
        : repeats + spread
    ]
    histogram = histogram_of([value for value in values if value])
    again = PriceHistogram.from_bytes(histogram.to_bytes())
    assert again.to_bytes() == histogram.to_bytes()
    assert again.count == sum(1 for value in values if value)
    assert again.quartiles() == histogram.quartiles()


def test_counts_beyond_32_bits_and_sums_beyond_64() -> None:
    histogram = histogram_of([MAX_MINOR_UNITS, *range(1000, 200_000, 100)])
    for _ in range(33):
        histogram.merge(histogram.copy())
    expected = (MAX_MINOR_UNITS + sum(range(1000, 200_000, 100))) * 2**33
    assert histogram.sum == expected > 2**63
    again = PriceHistogram.from_bytes(histogram.to_bytes())
    assert again.sum == expected
    assert again.count == 1991 * 2**33
    few = histogram_of([MAX_MINOR_UNITS, 3])
    for _ in range(40):
        few.merge(few)
    assert PriceHistogram.from_bytes(few.to_bytes()).sum == (MAX_MINOR_UNITS + 3) * 2**40


@bounded
@given(prices, price)
def test_removing_what_is_not_there_changes_nothing(values: list[int], absent: int) -> None:
    bucket = bucket_of(absent)
    values = [value for value in values if bucket_of(value) != bucket]
    histogram = histogram_of(values)
    with pytest.raises(NothingToRemoveError):
        histogram.remove(absent)
    with pytest.raises(NothingToRemoveError):
        histogram.remove_many([*values, absent])
    with pytest.raises(NothingToRemoveError):
        histogram.subtract(histogram_of([*values[:1], absent]))
    assert histogram.to_bytes() == histogram_of(values).to_bytes()


def test_removing_another_price_of_the_last_bucket_is_noticed() -> None:
    histogram = histogram_of([1000])
    assert bucket_of(1001) == bucket_of(1000)
    with pytest.raises(NothingToRemoveError):
        histogram.remove(1001)
    assert histogram.sum == 1000


@pytest.mark.parametrize("wrong", [0, -1, MAX_MINOR_UNITS + 1, 2.0, "3", None])
def test_what_is_no_price_is_refused_and_nothing_added(wrong: int) -> None:
    histogram = histogram_of([5])
    with pytest.raises((ValueError, TypeError)):
        histogram.add(wrong)
    with pytest.raises((ValueError, TypeError)):
        histogram.add_many([7, wrong])
    with pytest.raises((ValueError, TypeError)):
        histogram.remove_many([5, wrong])
    assert histogram.to_bytes() == histogram_of([5]).to_bytes()


def test_an_array_of_floats_is_refused() -> None:
    with pytest.raises(ValueError, match="float64"):
        PriceHistogram().add_many(np.array([1.0, 2.0]))


def test_an_empty_histogram_has_no_numbers() -> None:
    histogram = PriceHistogram()
    assert (histogram.count, histogram.sum) == (0, 0)
    for question in (histogram.quartiles, histogram.mean, lambda: histogram.quantile(1, 2)):
        with pytest.raises(EmptyHistogramError):
            question()


@pytest.mark.parametrize(("numerator", "denominator"), [(-1, 2), (3, 2), (0, 0), (1, -1)])
def test_a_quantile_outside_zero_to_one_is_refused(numerator: int, denominator: int) -> None:
    with pytest.raises(ValueError, match="quantile"):
        histogram_of([1]).quantile(numerator, denominator)


@bounded
@given(prices, st.data())
def test_garbled_bytes_are_refused_or_another_valid_histogram(
    values: list[int], data: st.DataObject
) -> None:
    encoded = bytearray(histogram_of(values).to_bytes())
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        histogram = PriceHistogram.from_bytes(bytes(encoded))
    except CorruptHistogramError:
        return
    assert histogram.to_bytes() == bytes(encoded)  # nothing is read in two ways


@bounded
@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_or_canonical(garbage: bytes) -> None:
    for candidate in (garbage, b"\x01\x01\x01" + garbage):
        try:
            histogram = PriceHistogram.from_bytes(candidate)
        except CorruptHistogramError:
            continue
        assert histogram.to_bytes() == candidate


@pytest.mark.parametrize("values", [[3, 5, 700], list(range(1, 2000))])
def test_truncated_and_foreign_bytes_are_refused(values: list[int]) -> None:
    encoded = histogram_of(values).to_bytes()
    for wrong in (encoded[:-1], encoded + b"\0", encoded[:2], b"", b"\x02" + encoded[1:]):
        with pytest.raises(CorruptHistogramError):
            PriceHistogram.from_bytes(wrong)


def test_no_float_in_the_state() -> None:
    histogram = histogram_of([1, 2, 3, *range(1000, 90_000, 7)])
    histogram.quartiles()
    buckets, counts = histogram._counts.arrays()
    assert buckets.dtype.kind == counts.dtype.kind == "i"
    assert type(histogram.sum) is int
    assert type(histogram.count) is int


def test_a_count_that_no_histogram_can_hold_is_refused() -> None:
    count = 2**64 - 1
    total = 300 * count
    width = (total.bit_length() + 7) // 8
    body = bucket_of(300).to_bytes(2, "little") + count.to_bytes(8, "little")
    with pytest.raises(CorruptHistogramError, match="sum"):
        PriceHistogram.from_bytes(bytes([1, 8, width]) + total.to_bytes(width, "little") + body)


def test_a_sum_that_the_buckets_cannot_have_is_refused() -> None:
    encoded = bytearray(histogram_of([1000, 1000]).to_bytes())
    assert encoded[3:5] == (2000).to_bytes(2, "little")
    for total in (LOWEST[bucket_of(1000)] * 2 - 1, HIGHEST[bucket_of(1000)] * 2 + 1):
        encoded[3:5] = int(total).to_bytes(2, "little")
        with pytest.raises(CorruptHistogramError, match="sum"):
            PriceHistogram.from_bytes(bytes(encoded))
