"""Every baseline on a market whose noise is known."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from models.baselines.protocol import Baseline
from models.baselines.registry import all_baselines
from models.errors import TrainingError
from models.joint.trainer import Plan
from models.training_data import TrainingData

SELECTIVE, STATISTICS = "SelectiveNet", "statistics only"
NAMES = (
    "separate, in-sample residuals",
    "separate, cross-fitted residuals",
    SELECTIVE,
    "quantile width",
    "gradient boosting",
    "ridge",
    STATISTICS,
)
NETWORKS = NAMES[:4]
CATEGORY_LEVELS = 6  # two above and four below

Floats = npt.NDArray[np.float64]


def named(name: str) -> Baseline:
    (found,) = (baseline for baseline in all_baselines() if baseline.name == name)
    return found


def fit(baseline: Baseline, data: TrainingData, plan: Plan, seed: int = 0) -> None:
    baseline.fit(data, delta=0.5, seed=seed, plan=plan, progress=lambda *_: None)


def ahead(surer: Floats, other: Floats) -> float:
    """The chance that one of the first scores higher than one of the others: 0.5 is none."""
    pairs = surer[:, None] - other[None, :]
    return float((pairs > 0).mean() + (pairs == 0).mean() / 2)


@pytest.fixture(scope="module")
def fitted(market: TrainingData, short: Plan) -> dict[str, Baseline]:
    found = {baseline.name: baseline for baseline in all_baselines()}
    for baseline in found.values():
        fit(baseline, market, short)
    return found


def test_they_are_these_in_this_order() -> None:
    assert tuple(baseline.name for baseline in all_baselines()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_price_beats_the_mean_on_listings_never_seen(
    name: str, fitted: dict[str, Baseline], market: TrainingData
) -> None:
    test = market.split.test[np.isfinite(market.log_prices[market.split.test])]
    prices, scores = fitted[name].predict(test)
    assert prices.dtype == scores.dtype == np.float64
    sold = market.log_prices[test]
    squared = np.mean((sold - prices) ** 2)
    of_the_mean = np.mean((sold - market.log_prices[market.train].mean()) ** 2)
    # the noise alone is 0.36 of the variance; the categories, all that statistics can tell, 0.14
    assert squared < (0.95 if name == STATISTICS else 0.75) * of_the_mean


@pytest.mark.parametrize("name", NAMES)
def test_the_score_orders_listings_by_their_noise(
    name: str, fitted: dict[str, Baseline], market: TrainingData
) -> None:
    test = np.concatenate([market.split.validation, market.split.test])
    _, scores = fitted[name].predict(test)
    blurred = market.rows[test, 1] > 0
    noisy = np.array(
        [(market.listings[item].category or "Quiet").startswith("Noisy") for item in test]
    )
    assert ahead(scores[~noisy], scores[noisy]) > 0.75
    assert ahead(scores[~noisy & ~blurred], scores[noisy & blurred]) > 0.95
    if name not in (SELECTIVE, STATISTICS):  # the category alone makes up their share
        assert ahead(scores[~blurred], scores[blurred]) > 0.65


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides(name: str, make_market: Callable[..., TrainingData], short: Plan) -> None:
    data = make_market(count=200)
    plan = replace(short, epochs=(8, 0, 0, 0))
    first, again, other = named(name), named(name), named(name)
    for baseline, seed in ((first, 1), (again, 1), (other, 2)):
        fit(baseline, data, plan, seed)
    one, two = first.predict(data.split.test), again.predict(data.split.test)
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])
    assert not np.array_equal(one[1], other.predict(data.split.test)[1])


@pytest.mark.parametrize("name", NAMES)
def test_columns_that_are_not_known_are_answered(
    name: str, make_market: Callable[..., TrainingData], short: Plan
) -> None:
    data = make_market(count=200)
    rows = data.rows.copy()
    rows[:, 6] = np.nan  # known of none
    rows[::3, 6:22] = np.nan
    rows[1::3, -CATEGORY_LEVELS:] = np.nan
    data = replace(data, rows=rows)
    baseline = named(name)
    fit(baseline, data, replace(short, epochs=(4, 0, 0, 0)))
    everything = np.arange(len(rows))
    prices, scores = baseline.predict(everything)
    assert np.isfinite(prices).all()
    assert np.isfinite(scores).all()
    assert prices.std() > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_market_of_one_price_is_priced_at_it(
    name: str, make_market: Callable[..., TrainingData], short: Plan
) -> None:
    data = make_market(count=100)
    data = replace(data, log_prices=np.full(100, 3.0, np.float32))
    baseline = named(name)
    fit(baseline, data, replace(short, epochs=(40, 40, 0, 0)))
    prices, scores = baseline.predict(data.split.test)
    assert prices == pytest.approx(np.full(len(prices), 3.0), abs=0.15)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_price_that_is_not_a_number_ends_the_training(
    name: str, make_market: Callable[..., TrainingData], short: Plan
) -> None:
    data = make_market(count=100)
    data.log_prices[data.train[3]] = math.nan
    with pytest.raises(TrainingError, match=f"^{name}: the loss is not finite"):
        fit(named(name), data, short)


@pytest.mark.parametrize("name", NAMES)
def test_progress_is_told_to_the_end(
    name: str, make_market: Callable[..., TrainingData], short: Plan
) -> None:
    told: list[tuple[str, int, int]] = []
    named(name).fit(
        make_market(count=100),
        delta=0.5,
        seed=0,
        plan=replace(short, epochs=(2, 1, 1, 1)),
        progress=lambda *step: told.append(step),
    )
    total = told[0][2]
    assert told == [(name, done, total) for done in range(1, total + 1)]
