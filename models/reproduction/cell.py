"""One training of the grid: fitted, then calibrated and measured on other parts."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict, JsonValue

from models.baselines.registry import all_baselines
from models.bundle.manifest import RuleName
from models.errors import TrainingError
from models.evaluation.oracle import OracleRow
from models.head_training import Objective, calibrate_heads, loss_of, train_heads
from models.joint.threshold import quantile_threshold
from models.joint.trainer import Plan
from models.reproduction.grid import JOINT, Cell, Setting
from models.reproduction.measures import Measures, measure_test
from models.training_data import TrainingData

Epochs = Callable[[int, int], None]
"""Told of steps done and steps in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What all trainings of a grid have in common.

    Attributes:
        plan: epochs and regularisation where the networks begin as a kernel's answers.
        network_plan: the same where they begin with nothing.
        paper_gate: the gate opens at f_cls = 0.5, as in the paper, see `Objective`.
    """

    plan: Plan
    network_plan: Plan
    paper_gate: bool

    def plan_of(self, setting: Setting) -> Plan:
        """Return the plan of a setting."""
        plan = self.plan if setting.kernel else self.network_plan
        return plan if setting.warm_up else without_warm_up(plan)


class Outcome(BaseModel):
    """What a training came to.

    `measures` is None where it came to no good end; then `error` says why. `seconds` is how long
    it took.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    measures: Measures | None
    error: str | None
    seconds: float


def run_cell(
    cell: Cell,
    data: TrainingData,
    oracle: Mapping[str, OracleRow] | None,
    conditions: Conditions,
    progress: Epochs = lambda done, total: None,  # noqa: ARG005
) -> Outcome:
    """Train and measure; an end by a guard of the training is an outcome, too.

    Args:
        cell: what to train.
        data: the parts of a dataset, by the seed and with the features of the cell.
        oracle: the truth of each listing by its id, where it is known.
        conditions: the same for all cells.
        progress: told after each step.
    """
    start = time.perf_counter()
    measures, error = None, None
    measure = _joint if cell.setting.method == JOINT else _baseline
    try:
        measures = measure(cell, data, oracle, conditions, progress)
    except TrainingError as ended:
        error = str(ended)
    return Outcome(measures=measures, error=error, seconds=time.perf_counter() - start)


def described(cell: Cell, conditions: Conditions) -> dict[str, JsonValue]:
    """Return all that a cell's outcome depends on besides its data."""
    setting, plan = cell.setting, conditions.plan_of(cell.setting)
    return {
        "method": setting.method,
        "rule": setting.rule,
        "parameter": setting.parameter,
        "features": setting.features,
        "seed": cell.seed,
        "plan": {**asdict(plan), "epochs": list(plan.epochs)},
        "paper_gate": conditions.paper_gate,
    }


def _joint(
    cell: Cell,
    data: TrainingData,
    oracle: Mapping[str, OracleRow] | None,
    conditions: Conditions,
    progress: Epochs,
) -> Measures:
    objective = _objective(cell.setting, conditions)
    heads = train_heads(
        data,
        loss_of(objective),
        conditions.plan_of(cell.setting),
        cell.seed,
        lambda _, done, total: progress(done, total),
    )
    calibration = calibrate_heads(heads, data, objective)
    prices, scores = heads.answers(data.split.test)
    return measure_test(
        data,
        prices,
        scores,
        threshold=calibration.threshold,
        half_width=calibration.ranges.half_width,
        oracle=oracle,
    )


def _objective(setting: Setting, conditions: Conditions) -> Objective:
    objective = Objective(rule=setting.rule, paper_gate=conditions.paper_gate)
    if setting.rule is RuleName.PERCENTILE:
        return replace(objective, delta=setting.parameter)
    return replace(objective, epsilon=setting.parameter)


def without_warm_up(plan: Plan) -> Plan:
    """Return a plan with as many epochs at each learning rate, all of the second stage (3.4)."""
    warm_up, slower, joint, joint_slower = plan.epochs
    return replace(plan, epochs=(0, 0, warm_up + joint, slower + joint_slower))


def _baseline(
    cell: Cell,
    data: TrainingData,
    oracle: Mapping[str, OracleRow] | None,
    conditions: Conditions,
    progress: Epochs,
) -> Measures:
    (baseline,) = (each for each in all_baselines() if each.name == cell.setting.method)
    delta = cell.setting.parameter
    baseline.fit(
        data,
        delta=delta,
        seed=cell.seed,
        plan=conditions.plan_of(cell.setting),
        progress=lambda _, done, total: progress(done, total),
    )
    validation = data.split.validation
    _, scores = baseline.predict(validation)
    threshold = quantile_threshold(np.where(data.photos.sound[validation], scores, -np.inf), delta)
    prices, scores = baseline.predict(data.split.test)
    return measure_test(data, prices, scores, threshold=threshold, half_width=None, oracle=oracle)
