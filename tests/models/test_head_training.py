"""What the heads say of listings they were calibrated on is as good as of new ones, no better."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models.head_training import TrainedHeads, train_heads
from models.joint.losses import PercentileLoss
from models.joint.trainer import Plan

PLAN = Plan(
    epochs=(1, 0, 1, 0),
    batch_size=128,
    members=2,
    dropout=0.3,
    input_dropout=0.3,
    beta=None,
    keep_best=True,
    landmarks=1000,
)


def market(together: int) -> Any:
    """Six features; what belongs together shares them and the noise, as a seller's repeats do."""
    rng = np.random.default_rng(5)
    count = 1200
    groups = np.arange(count) // together
    of_group = rng.normal(size=(groups.max() + 1, 6)) * 1.5
    noise = rng.normal(size=groups.max() + 1) * 0.8
    features = of_group[groups] + rng.normal(size=(count, 6)) * 0.05
    rows = np.zeros((count, 22), np.float32)
    rows[:, :6] = features
    prices = 3.0 + 0.4 * features[:, 0] + noise[groups] + rng.normal(size=count) * 0.1
    train, validation, test = np.split(np.arange(count), [600, 900])
    return SimpleNamespace(
        rows=rows,
        log_prices=prices.astype(np.float32),
        vocabulary=(),
        train=train,
        validation=validation,
        split=SimpleNamespace(validation=validation, test=test, groups=groups),
    )


def trained(data: Any) -> TrainedHeads:
    return train_heads(data, PercentileLoss(delta=0.5), PLAN, 0, lambda *_: None)


@pytest.mark.parametrize("together", [1, 4])
def test_the_validation_part_is_answered_as_new_listings_are(together: int) -> None:
    data = market(together)
    heads = trained(data)
    assert heads.columns.kernel is not None
    errors, scores = {}, {}
    for part, items in (("validation", data.validation), ("test", data.split.test)):
        prices, scores[part] = heads.answers(items)
        errors[part] = np.abs(prices - data.log_prices[items])
    assert errors["validation"].mean() == pytest.approx(errors["test"].mean(), rel=0.15)
    # nor does the score know more of their errors
    surer = {part: errors[part][scores[part] > np.median(scores[part])].mean() for part in errors}
    assert surer["validation"] == pytest.approx(surer["test"], rel=0.2)
    # a threshold from one part accepts as many of the other
    accepted = (scores["test"] >= np.median(scores["validation"])).mean()
    assert accepted == pytest.approx(0.5, abs=0.12)


def test_the_kernel_learns_from_the_validation_part_too() -> None:
    data = market(1)
    fitted = set(trained(data).columns.left_out)
    assert fitted == {*data.train.tolist(), *data.validation.tolist()}
