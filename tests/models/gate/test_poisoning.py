"""What a seller's fake sales do to the suggestions of others: the check, and the real thing."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundle.snapshot import SalesSnapshot
from models.gate.poisoning import Price, attacked, poisoning_check
from models.gate.rules import GateRules
from schemas.money import MAX_MINOR_UNITS
from schemas.statistics import Scope, Statistics
from stats_store.features import feature_vector, statistics_of
from stats_store.histogram import PriceHistogram
from stats_store.rules import Rules
from tests.stats_store.logs import Log, sale

FAKES = 1_000
Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


def histogram_of(prices: Sequence[int]) -> PriceHistogram:
    histogram = PriceHistogram()
    histogram.add_many(prices)
    return histogram


def prices_of(rng: np.random.Generator, count: int, level: float = 8.0) -> list[int]:
    return [max(1, round(price)) for price in np.exp(rng.normal(level, 0.6, count))]


def trusting(statistics: Sequence[Statistics]) -> Floats:
    """A model that asks the mean of a category's quartiles."""
    return np.array([feature_vector(each)[4:7].mean(dtype=np.float64) for each in statistics])


def deaf(statistics: Sequence[Statistics]) -> Floats:
    return np.zeros(len(statistics))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 1_000),
    count=st.integers(30, 400),
    fakes=st.integers(1, 500),
    factor=st.sampled_from([1e-15, 0.3, 0.9, 1.1, 3.0, 1e15]),
)
def test_attacked_statistics_are_those_of_histograms_with_the_fake_sales(
    seed: int, count: int, fakes: int, factor: float
) -> None:
    rng = np.random.default_rng(seed)
    category, others = prices_of(rng, count), prices_of(rng, count, level=7.0)
    of_category, overall = histogram_of(category), histogram_of([*category, *others])
    before = statistics_of(None, of_category, overall, "GBP")

    found = attacked(before, SalesSnapshot("GBP", overall, {"A": of_category}), "A", fakes, factor)

    fake = max(1, min(MAX_MINOR_UNITS, round(before.category.q2 * factor)))
    for honest, scope in ((category, found.category), ([*category, *others], found.overall)):
        mixed = sorted([*honest, *[fake] * fakes])
        for level, price in ((0.25, scope.q1), (0.5, scope.q2), (0.75, scope.q3)):
            rank = level * len(mixed)  # nearest rank, give or take a bucket and a rank
            low = mixed[max(0, int(rank) - 3)] * 0.98
            high = mixed[min(len(mixed) - 1, int(rank) + 3)] * 1.02
            assert low - 1 <= price <= high + 1
        assert scope.count == len(mixed)
        assert scope.mean == pytest.approx(np.mean(mixed), rel=0.01, abs=1)
    assert (found.seller.q2, found.seller.count) == (found.category.q2, 0)


def test_where_nothing_was_sold_the_fake_sales_are_all_there_is() -> None:
    overall = histogram_of([100, 200, 300])
    before = statistics_of(None, None, overall, "GBP")
    found = attacked(before, SalesSnapshot("GBP", overall), "A", 7, 3.0)
    assert (found.category.q1, found.category.q3, found.category.count) == (600, 600, 7)
    assert found.category.source is found.seller.source is Scope.CATEGORY


def test_a_mean_cannot_be_carried_away() -> None:
    """One sale at the highest price there is moves the columns by no more than the fence."""
    prices = prices_of(np.random.default_rng(1), 500)
    before = feature_vector(statistics_of(None, None, histogram_of(prices), "GBP"))
    poisoned = histogram_of([*prices, MAX_MINOR_UNITS])
    after = feature_vector(statistics_of(None, None, poisoned, "GBP"))
    q1, _, q3 = (float(each) for each in after[8:11])
    assert after[11] == pytest.approx(q3 + 0.5 * (q3 - q1))
    assert np.log(poisoned.mean()) - np.log(np.mean(prices)) > 15  # the mean itself is gone
    assert abs(after[8:11] - before[8:11]).max() < 0.02


def market(seed: int, *, cap: int, fake_price: int, fakes: int) -> Statistics:
    """What a new seller's listing is served with, after honest sales and then the fake ones."""
    rng = np.random.default_rng(seed)
    store = Log(Rules(seller_cap=cap)).store
    for number, price in enumerate(prices_of(rng, 800)):
        store.apply_sale(sale(f"l{number}", seller=f"s{number % 300}", price=price))
    for number in range(fakes):
        store.apply_sale(sale(f"f{number}", seller="bob", price=fake_price))
    found = store.listing_histograms(
        listing_id="new", seller_id="new", category="A", currency="GBP"
    )
    return statistics_of(*found, "GBP")


@pytest.mark.parametrize("fake_price", [1, 900, 9_000, MAX_MINOR_UNITS])
def test_the_bound_holds_against_a_thousand_real_fake_sales(fake_price: int) -> None:
    """The check, made beforehand, bounds what the sales then do, through the real store."""
    before = market(1, cap=20, fake_price=1, fakes=0)
    sold = SalesSnapshot("GBP", histogram_of(prices_of(np.random.default_rng(1), 800)))
    sold.categories["A"] = sold.overall
    rules = GateRules(poison_sales=FAKES)
    check = poisoning_check(trusting, None, [before], ["A"], sold, seller_cap=20, rules=rules)
    assert check.passed
    after = market(1, cap=20, fake_price=fake_price, fakes=FAKES)
    assert after.category.count == 820
    moved = abs(float((trusting([after]) - trusting([before]))[0]))
    assert moved <= check.figures["moved"] + 0.01
    assert moved <= rules.poison_epsilon
    # without a cap nothing holds
    free = market(1, cap=0, fake_price=fake_price, fakes=FAKES)
    assert abs(float((trusting([free]) - trusting([before]))[0])) > 3 * moved


def test_a_category_of_few_sales_is_left_out() -> None:
    prices = prices_of(np.random.default_rng(2), 300)
    large, small = (
        statistics_of(None, histogram_of(prices[:count]), histogram_of(prices), "GBP")
        for count in (300, 30)
    )
    sold = SalesSnapshot("GBP", histogram_of(prices), {"A": histogram_of(prices)})
    found = [
        poisoning_check(
            trusting, None, served, ["A"] * 2, sold, seller_cap=20, rules=GateRules()
        ).figures
        for served in ([large, large], [large, small], [small, small])
    ]
    assert [each["listings"] for each in found] == [2, 1, 0]
    assert [each["moved"] for each in found] == [found[0]["moved"], found[0]["moved"], 0.0]
    assert found[1]["worst"] > 3 * found[0]["worst"]


def test_a_model_that_trusts_too_much_is_refused_and_without_a_cap_none_is() -> None:
    rng = np.random.default_rng(2)
    prices = prices_of(rng, 300)
    served = [statistics_of(None, histogram_of(prices), histogram_of(prices), "GBP")] * 10
    sold = SalesSnapshot("GBP", histogram_of(prices), {"A": histogram_of(prices)})

    def eager(statistics: Sequence[Statistics]) -> Floats:
        return 10 * trusting(statistics)

    def asked(price: object, cap: int, champion: Price | None = None) -> tuple[bool, float]:
        check = poisoning_check(
            price,  # type: ignore[arg-type]
            champion,
            served,
            ["A"] * 10,
            sold,
            seller_cap=cap,
            rules=GateRules(poison_sales=FAKES),
        )
        return check.passed, check.figures["moved"]

    assert asked(deaf, 20) == (True, 0.0)
    passed, moved = asked(eager, 20)
    assert not passed
    assert moved == pytest.approx(10 * asked(trusting, 20)[1])
    assert asked(eager, 20, champion=trusting)[0] is False
    assert asked(eager, 20, champion=eager)[0] is True  # keeping it would protect nobody
    without_cap, far = asked(eager, 0)
    assert without_cap
    assert far > moved
