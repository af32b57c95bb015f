"""Training of the two networks of 3.3 on data that are ready, and their calibration."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.bundle.manifest import RuleName
from models.dataset.splits import Indices
from models.joint.calibration import Calibration, calibrate
from models.joint.kernel import FITTED, LANDMARKS, Layout, ListingColumns, fit_kernel
from models.joint.losses import PercentileLoss, ThresholdLoss
from models.joint.network import JointNetwork
from models.joint.trainer import Plan, train_joint
from models.training_data import TrainingData
from stats_store.features import STATISTICS_WIDTH

Report = Callable[[str, int, int], None]
"""Told of progress: name of the stage, steps done, steps in all."""

Begin = Callable[[JointNetwork], None]
"""Sets what networks, whose scaling is fitted, begin as: see `models.joint.warm_start`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Which constraint the operator sets (3.3), and where the gate opens.

    Attributes:
        rule: `percentile` (Eq. 1) or `threshold` (Eq. 3).
        delta: share of listings to answer with a price; of the percentile rule.
        epsilon: largest log error of a qualified listing, of the threshold rule; of both rules,
            the log error that the confidence is about.
        paper_gate: open the gate at f_cls = 0.5, as the paper does. Otherwise the percentile rule
            opens it at the (1 - delta) quantile of the validation part, so that the share is met
            on listings that training has not seen; the threshold rule always opens it at 0.5.
    """

    rule: RuleName = RuleName.PERCENTILE
    delta: float = 0.5
    epsilon: float = 0.5
    paper_gate: bool = False


def network_plan(items: int) -> Plan:
    """Return a plan for networks that begin with nothing, as the paper's do, on thousands of items.

    The shares of the four parts and the regularisation were chosen by measurement on listings
    that were not trained on. Fewer than 2,500 items get as many steps as 2,500.
    """
    return Plan(
        epochs=_lengthened((14, 8, 4, 2), items),
        batch_size=256,
        dropout=0.1,
        input_dropout=0.2,
        weight_decay=0.01,
        members=4,
        beta=None,
        keep_best=True,
    )


def quick_plan(items: int) -> Plan:
    """Return the plan for thousands of items on a CPU: half a minute on two cores for 3,500.

    That of `network_plan`, but the networks begin as the kernel columns, so they need few epochs
    and are held back more; see docs/method.md.
    """
    return replace(
        network_plan(items),
        epochs=_lengthened((2, 1, 1, 1), items),
        dropout=0.3,
        input_dropout=0.3,
        weight_decay=0.05,
        landmarks=LANDMARKS,
    )


def _lengthened(epochs: tuple[int, int, int, int], items: int) -> tuple[int, int, int, int]:
    longer = max(1.0, 2500 / items)
    first, second, third, fourth = (round(count * longer) for count in epochs)
    return first, second, third, fourth


def loss_of(objective: Objective) -> PercentileLoss | ThresholdLoss:
    """Return Eq. 1 or Eq. 3 with the operator's parameter."""
    if objective.rule is RuleName.PERCENTILE:
        return PercentileLoss(delta=objective.delta)
    return ThresholdLoss(epsilon=objective.epsilon)


@dataclass(frozen=True, slots=True)
class TrainedHeads:
    """The joint networks after training: on the CPU, in eval mode; and the columns they read."""

    network: JointNetwork
    columns: ListingColumns

    def answers(self, items: Indices) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return log prices and scores `[M]` of listings, as they are for new ones."""
        with torch.inference_mode():
            found = self.network.of_columns(torch.from_numpy(self.columns.of(items)))
        prices, scores = (values.double().numpy() for values in found)
        return prices, scores


def train_heads(
    data: TrainingData,
    loss: PercentileLoss | ThresholdLoss,
    plan: Plan,
    seed: int,
    report: Report,
    *,
    begin: Begin | None = None,
    checkpoint: Path | None = None,
) -> TrainedHeads:
    """Train the joint networks on the training part.

    `begin` is given the networks with their scaling fitted, and may set what they begin as.

    The kernel is fitted on the validation part too: each group of listings left out, its answers
    are as honest there as on the test part. A training that was killed goes on from `checkpoint`,
    see `train_joint`.

    Raises:
        TrainingError: training came to no good end.
    """
    columns = ListingColumns(None, data.rows, {})
    if plan.landmarks:
        report("kernel", 0, 1)
        columns = _with_kernel(data, plan.landmarks, seed)
        report("kernel", 1, 1)
    torch.manual_seed(seed)
    network = JointNetwork(
        data.rows.shape[1],
        kernel=columns.kernel,
        members=plan.members,
        dropout=plan.dropout,
        input_dropout=plan.input_dropout,
    )
    inputs, targets = columns.of(data.train), data.log_prices[data.train]
    network.fit_scaling(
        inputs,
        float(targets.mean()),
        statistics=STATISTICS_WIDTH,
        levels=len(data.vocabulary),
    )
    if begin is not None:
        begin(network)
    train_joint(
        network,
        torch.from_numpy(inputs),
        torch.from_numpy(targets),
        torch.from_numpy(columns.of(data.validation)),
        torch.from_numpy(data.log_prices[data.validation]),
        torch.from_numpy(data.split.groups[data.train]),
        loss=loss,
        plan=plan,
        seed=seed,
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        progress=report,
        checkpoint=checkpoint,
    )
    return TrainedHeads(network, columns)


def _with_kernel(data: TrainingData, landmarks: int, seed: int) -> ListingColumns:
    known = np.concatenate([data.train, data.validation])
    known = known[np.sort(np.random.default_rng(seed).permutation(len(known))[:FITTED])]
    levels = len(data.vocabulary)
    kernel, left_out = fit_kernel(
        data.rows[known],
        data.log_prices[known],
        data.split.groups[known],
        layout=Layout(data.rows.shape[1] - STATISTICS_WIDTH - levels, STATISTICS_WIDTH, levels),
        seed=seed,
        landmarks=landmarks,
    )
    return ListingColumns(kernel, data.rows, dict(zip(known.tolist(), left_out, strict=True)))


def calibrate_heads(heads: TrainedHeads, data: TrainingData, objective: Objective) -> Calibration:
    """Calibrate on all listings of the validation part, those without a price too.

    Raises:
        TrainingError: too few accepted listings have a sold price.
    """
    part = data.split.validation
    prices, scores = heads.answers(part)
    # a listing without a sound photo is refused before the gate, and counts as refused
    scores[~data.photos.sound[part]] = -np.inf
    by_quantile = objective.rule is RuleName.PERCENTILE and not objective.paper_gate
    return calibrate(
        prices,
        scores,
        data.log_prices[part].astype(np.float64),
        [data.listings[item].category for item in part],
        delta=objective.delta if by_quantile else None,
        epsilon=objective.epsilon,
    )
