import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.errors import TrainingError
from models.joint.keeper import BestPrice
from models.joint.losses import PercentileLoss, ThresholdLoss
from models.joint.network import JointNetwork
from models.joint.trainer import PAPER, Plan, parts_of, train_joint

CPU = torch.device("cpu")


def market(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Column 0 says the price; where column 1 is above 0 it is drowned in noise."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 4)).astype(np.float32)
    noise = np.where(rows[:, 1] > 0, rng.normal(size=count) * 1.5, 0.05)
    prices = 3 + rows[:, 0] + noise
    return torch.from_numpy(rows), torch.from_numpy(prices.astype(np.float32))


def network(rows: torch.Tensor, prices: torch.Tensor, plan: Plan, seed: int = 0) -> JointNetwork:
    torch.manual_seed(seed)
    made = JointNetwork(
        rows.shape[1],
        members=plan.members,
        hidden=(32, 16),
        dropout=plan.dropout,
        input_dropout=plan.input_dropout,
    )
    made.fit_scaling(rows.numpy(), float(prices.mean()))
    return made


def trained(plan: Plan, loss: PercentileLoss | ThresholdLoss, seed: int = 0) -> JointNetwork:
    rows, prices = market(600, 1)
    made = network(rows, prices, plan, seed)
    train_joint(made, rows, prices, *market(200, 2), loss=loss, plan=plan, seed=seed, device=CPU)
    return made


SHORT = Plan(epochs=(20, 10, 20, 10), batch_size=64, beta=1.5)
CROSS_FITTED = Plan(
    epochs=(20, 10, 10, 5), batch_size=64, dropout=0.1, members=3, beta=None, keep_best=True
)
WITHOUT_WARM_UP = replace(CROSS_FITTED, epochs=(0, 0, 30, 15))  # Table 5: as many epochs


def test_the_paper_s_schedule() -> None:
    assert PAPER.batch_size == 4096
    assert [(part.epochs, part.learning_rate, part.warm_up) for part in parts_of(PAPER.epochs)] == [
        (1700, 5e-4, True),
        (850, 2e-4, True),
        (3400, 5e-4, False),
        (1700, 2e-4, False),
    ]


@pytest.mark.parametrize("plan", [SHORT, CROSS_FITTED, WITHOUT_WARM_UP])
@pytest.mark.parametrize("delta", [0.3, 0.5])
def test_percentile_rule_reaches_its_share_and_picks_the_items_that_can_be_priced(
    plan: Plan, delta: float
) -> None:
    made = trained(plan, PercentileLoss(delta=delta))
    rows, prices = market(2000, 3)
    with torch.inference_mode():
        found, scores = made(rows)
    accepted = scores >= scores.quantile(1 - delta)
    assert float((scores >= 0).float().mean()) == pytest.approx(delta, abs=0.12)
    error = (found - prices).abs()
    assert float((rows[accepted, 1] <= 0).float().mean()) > 0.85
    assert error[accepted].mean() < 0.5 * error.mean()


def test_threshold_rule_accepts_what_is_close() -> None:
    made = trained(SHORT, ThresholdLoss(epsilon=0.4))
    rows, prices = market(2000, 3)
    with torch.inference_mode():
        found, scores = made(rows)
    close = (found - prices).abs() <= 0.4
    assert float((close == (scores >= 0)).float().mean()) > 0.8


def test_the_same_seed_gives_the_same_weights_and_another_others() -> None:
    plan = Plan(
        epochs=(15, 0, 15, 0), batch_size=64, dropout=0.2, members=2, beta=1.5, keep_best=True
    )
    loss = PercentileLoss(delta=0.5)
    first, again, other = (trained(plan, loss, seed).state_dict() for seed in (4, 4, 5))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["gate.layers.1.weight"], other["gate.layers.1.weight"])


def test_progress_counts_all_epochs_and_names_the_parts() -> None:
    rows, prices = market(60, 1)
    plan = Plan(epochs=(2, 1, 1, 1), batch_size=64, beta=2)
    told: list[tuple[str, int, int]] = []
    train_joint(
        network(rows, prices, plan),
        rows,
        prices,
        rows,
        prices,
        loss=PercentileLoss(delta=0.5),
        plan=plan,
        seed=0,
        device=CPU,
        progress=lambda *step: told.append(step),
    )
    assert told == [
        ("warm-up", 1, 5),
        ("warm-up", 2, 5),
        ("warm-up, slower", 3, 5),
        ("joint", 4, 5),
        ("joint, slower", 5, 5),
    ]


def test_a_loss_that_is_not_finite_ends_the_run() -> None:
    rows, prices = market(60, 1)
    prices[7] = math.nan
    plan = Plan(epochs=(2, 0, 0, 0), batch_size=64)
    with pytest.raises(TrainingError, match="not finite"):
        train_joint(
            network(rows, prices, plan),
            rows,
            prices,
            rows,
            prices,
            loss=PercentileLoss(delta=0.5),
            plan=plan,
            seed=0,
            device=CPU,
        )


def test_a_beta_that_makes_refusing_cheap_ends_as_a_collapsed_gate() -> None:
    with pytest.raises(TrainingError, match=r"qualifies 0\.\d% of the training part"):
        trained(Plan(epochs=(5, 0, 40, 0), batch_size=64, beta=0.001), PercentileLoss(delta=0.5))


def test_a_gate_that_accepts_everything_is_no_gate() -> None:
    # a floor of 1 with a large beta qualifies all items
    with pytest.raises(TrainingError, match="qualifies 100"):
        trained(Plan(epochs=(5, 0, 20, 0), batch_size=64, beta=50), PercentileLoss(delta=1.0))


def test_the_best_price_network_is_kept_and_the_gate_left() -> None:
    rows, prices = market(100, 1)
    made = network(rows, prices, SHORT)
    scaled, centred = made.scale(rows), prices - made.target_mean
    best = BestPrice(made, scaled, centred)

    def set_bias(value: float) -> None:
        with torch.no_grad():
            for name, parameter in made.named_parameters():
                parameter.fill_(value if name.endswith("layers.7.bias") else 0.0)

    for value in (5.0, 0.0, 3.0):  # the centred prices have the mean 0
        set_bias(value)
        best.see()
    best.restore()
    state = made.state_dict()
    assert state["prices.0.layers.7.bias"].item() == 0.0
    assert state["gate.layers.7.bias"].item() == 3.0


def test_an_item_is_judged_by_the_member_that_has_not_seen_it() -> None:
    """Prices are pure noise: judged in the sample they look learnt, and left out they do not."""
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.normal(size=(120, 40)).astype(np.float32))
    prices = torch.from_numpy(rng.normal(size=120).astype(np.float32))
    coverage = {}
    for members in (1, 4):
        plan = Plan(epochs=(150, 0, 0, 0), batch_size=64, members=members)
        made = network(rows, prices, plan)
        # an error below 0.3 qualifies: with 40 columns for 120 items the sample is learnt by heart
        loss = ThresholdLoss(epsilon=0.3, delta=0.02)
        train_joint(made, rows, prices, rows, prices, loss=loss, plan=plan, seed=0, device=CPU)
        with torch.inference_mode():
            coverage[members] = float((made(rows)[1] >= 0).float().mean())
    assert coverage[1] > 0.6
    assert coverage[4] < 0.4


@pytest.mark.parametrize("scale", [0.05, 1.0, 5.0])
def test_the_weight_of_the_missing_share_follows_the_size_of_the_errors(scale: float) -> None:
    rows, prices = market(600, 1)
    plan = Plan(epochs=(20, 10, 20, 10), batch_size=64, beta=None)
    made = network(rows, prices * scale, plan)
    loss = PercentileLoss(delta=0.4)
    train_joint(
        made, rows, prices * scale, rows, prices * scale, loss=loss, plan=plan, seed=0, device=CPU
    )
    with torch.inference_mode():
        _, scores = made(rows)
    assert float((scores >= 0).float().mean()) == pytest.approx(0.4, abs=0.12)
    # half of the items have a variance of 1.5 ** 2, the others hardly any: twice their mean
    assert loss.beta == pytest.approx(2 * 0.5 * 2.25 * scale**2, rel=0.3)
