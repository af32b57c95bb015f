from decimal import Decimal
from math import log

import numpy as np
import pytest

from simulator.catalogue import BRANDS, CATEGORIES, Category
from simulator.price_law import PriceLaw
from simulator.things import Thing, draw_thing

BAGS = next(each for each in CATEGORIES if each.noun == "bag")
PHONES = next(each for each in CATEGORIES if each.noun == "phone")


def law(currency: str = "GBP", seed: int = 1) -> PriceLaw:
    return PriceLaw(CATEGORIES, currency=currency, rng=np.random.default_rng(seed))


def bag(**changes: object) -> Thing:
    qualities: dict[str, object] = {
        "category": BAGS,
        "brand": BRANDS["Clothing"][4],
        "colour": "red",
        "pattern": "checked",
        "material": "leather",
        "condition": "worn",
        "variant": True,
        "hidden": 1,
    }
    return Thing(**{**qualities, **changes})  # type: ignore[arg-type]


def test_the_oracle_is_the_sum_of_its_parts() -> None:
    prices = law()
    # base 46, brand 1.00 x weight 1.4, red, checked, leather, worn, long strap, seller, trend
    by_hand = log(46) + 1.4 + 0.04 + 0.14 + 0.25 - 0.38 + 0.12 + 0.1 + prices.trend(BAGS, 12.5)
    assert prices.log_oracle(bag(), 0.1, 12.5) == pytest.approx(by_hand)


def test_what_the_photo_is_worth_knows_neither_seller_nor_day() -> None:
    prices = law()
    # base 46, brand 1.00 x weight 1.4, red, checked, leather, worn, long strap
    by_hand = log(46) + 1.4 + 0.04 + 0.14 + 0.25 - 0.38 + 0.12
    assert prices.log_photo(bag()) == pytest.approx(by_hand)
    assert prices.log_photo(bag(hidden=2)) == prices.log_photo(bag(hidden=0))
    assert law("JPY", seed=2).log_photo(bag()) == pytest.approx(by_hand + log(195))


def test_no_photo_tells_the_hidden_specification() -> None:
    prices = law()
    assert prices.log_oracle(bag(hidden=0), 0, 3) == prices.log_oracle(bag(hidden=2), 0, 3)
    rng = np.random.default_rng(0)
    least, most = (prices.log_price(bag(hidden=h), 0, 3, rng) for h in (0, 2))
    assert least != most


@pytest.mark.parametrize("category", [BAGS, PHONES], ids=lambda category: category.noun)
def test_prices_scatter_around_the_oracle_as_said(category: Category) -> None:
    prices = law()
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(20_000):
        thing = draw_thing(rng, category)
        errors.append(prices.log_price(thing, 0.2, 7, rng) - prices.log_oracle(thing, 0.2, 7))
    assert np.median(errors) == pytest.approx(0, abs=0.006)
    assert np.std(errors) == pytest.approx(prices.noise_sigma(category), rel=0.02)


def test_categories_drift_each_its_own_way() -> None:
    prices = law()
    drifts = {each.path: prices.trend(each, 60) - prices.trend(each, 0) for each in CATEGORIES}
    assert len(set(drifts.values())) == len(CATEGORIES)
    assert 0.05 < np.std(list(drifts.values())) < 0.5
    again = law()
    assert all(again.trend(each, 33) == prices.trend(each, 33) for each in CATEGORIES)
    assert law(seed=2).trend(BAGS, 33) != prices.trend(BAGS, 33)


@pytest.mark.parametrize(
    ("currency", "amount", "text"),
    [
        ("GBP", 12.3456, "12.30"),
        ("GBP", 1234.5, "1230.00"),
        ("GBP", 0.0001, "0.01"),
        ("JPY", 12.6, "13"),
        ("JPY", 0.2, "1"),
        ("KWD", 2.71828, "2.720"),
        ("KWD", 0.00001, "0.001"),
    ],
)
def test_prices_are_written_as_people_write_them(currency: str, amount: float, text: str) -> None:
    assert law(currency).text(amount) == text


def test_a_currency_moves_every_price_by_its_level() -> None:
    pounds, yen = law("GBP").log_oracle(bag(), 0, 5), law("JPY").log_oracle(bag(), 0, 5)
    assert yen - pounds == pytest.approx(log(195))


def test_irrational_prices_lie_outside_what_anything_costs() -> None:
    prices = law()
    rng = np.random.default_rng(5)
    drawn = [float(Decimal(prices.text(prices.irrational_price(rng), 6))) for _ in range(500)]
    low, high = [each for each in drawn if each < 1], [each for each in drawn if each > 10_000]
    assert len(low) + len(high) == 500
    assert 200 < len(low) < 300
    usual = [np.exp(prices.log_oracle(draw_thing(rng, c), 0, 9)) for c in CATEGORIES * 20]
    assert max(low) < min(usual) < max(usual) < min(high)
