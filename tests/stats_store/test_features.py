import math

import numpy as np
import pytest

from schemas.errors import CurrencyError
from schemas.money import MAX_MINOR_UNITS
from schemas.statistics import Scope, Statistics
from stats_store.features import STATISTICS_WIDTH, feature_vector, statistics_of
from stats_store.histogram import PriceHistogram


def histogram_of(*values: int) -> PriceHistogram:
    histogram = PriceHistogram()
    histogram.add_many(values)
    return histogram


def numbers(scope: object) -> tuple[int, ...]:
    return tuple(getattr(scope, name) for name in ("q1", "q2", "q3", "mean", "count"))


def test_each_scope_with_sales_has_its_own_numbers() -> None:
    statistics = statistics_of(
        histogram_of(10, 20), histogram_of(10, 20, 100, 200), histogram_of(1, 2, 3), "GBP"
    )
    assert numbers(statistics.seller) == (10, 10, 20, 15, 2)
    assert numbers(statistics.category) == (10, 20, 100, 83, 4)  # 82.5 rounds up
    assert numbers(statistics.overall) == (1, 2, 3, 2, 3)
    sources = [statistics.seller.source, statistics.category.source, statistics.overall.source]
    assert sources == [Scope.SELLER, Scope.CATEGORY, Scope.GLOBAL]


def test_a_scope_without_sales_falls_back_to_the_next_wider() -> None:
    everything = histogram_of(50, 60)
    statistics = statistics_of(None, PriceHistogram(), everything, "GBP")
    assert numbers(statistics.seller) == numbers(statistics.category) == (50, 50, 60, 55, 0)
    assert statistics.seller.source is statistics.category.source is Scope.GLOBAL
    statistics = statistics_of(PriceHistogram(), histogram_of(7), everything, "GBP")
    assert numbers(statistics.seller) == (7, 7, 7, 7, 0)
    assert statistics.seller.source is Scope.CATEGORY


def test_without_any_sale_the_source_is_none() -> None:
    statistics = statistics_of(None, None, None, "JPY")
    for scope in (statistics.seller, statistics.category, statistics.overall):
        assert numbers(scope) == (0, 0, 0, 0, 0)
        assert scope.source is Scope.NONE


def test_the_highest_prices_give_statistics_that_the_contract_takes() -> None:
    statistics = statistics_of(histogram_of(*[MAX_MINOR_UNITS] * 5), None, None, "GBP")
    assert numbers(statistics.seller) == (*[MAX_MINOR_UNITS] * 4, 5)
    assert Statistics.model_validate_json(statistics.model_dump_json()) == statistics


def test_vector_is_in_logs_of_whole_units() -> None:
    statistics = statistics_of(None, histogram_of(200, 200), histogram_of(100), "GBP")
    vector = feature_vector(statistics)
    assert vector.shape == (STATISTICS_WIDTH,)
    assert vector.dtype == np.float32
    two_pounds, counts = [math.log(2.0)] * 8, [0.0, math.log(3.0), math.log(2.0)]
    expected = [*two_pounds, 0.0, 0.0, 0.0, 0.0, *counts, 1 / 3]
    np.testing.assert_allclose(vector, expected, rtol=1e-6, atol=1e-6)


def test_vector_knows_the_decimals_of_the_currency() -> None:
    for currency, minor in (("JPY", 200), ("GBP", 20_000), ("KWD", 200_000)):
        vector = feature_vector(statistics_of(None, None, histogram_of(minor), currency))
        np.testing.assert_allclose(vector[:12], math.log(200), rtol=0.004)


def test_vector_without_sales_is_unknown_and_says_so() -> None:
    vector = feature_vector(statistics_of(None, None, None, "GBP"))
    assert np.isnan(vector[:12]).all()
    assert vector[12:].tolist() == [0.0, 0.0, 0.0, 1.0]


def test_vector_of_an_unknown_currency_is_refused() -> None:
    statistics = statistics_of(None, None, None, "GBP").model_copy(update={"currency": "QQQ"})
    with pytest.raises(CurrencyError):
        feature_vector(statistics)
