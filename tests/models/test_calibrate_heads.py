"""What of a training's parts the calibration sees."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from models.bundle.manifest import RuleName
from models.head_training import Objective, TrainedHeads, calibrate_heads
from models.joint.calibration import Calibration
from models.joint.kernel import ListingColumns


def as_they_come(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Networks whose price is column 0 and whose score is column 1."""
    return rows[:, 0], rows[:, 1]


@pytest.fixture
def calibrated() -> Callable[..., Calibration]:
    """Calibrates on listings 100 to 199 of 300; only they may matter.

    Their scores are 100 to 199. Every other one has a price, with an error of 0.01 for each of
    listings above 100; `unsound` many of the highest scores have no sound photo.
    """

    def run(objective: Objective, *, unsound: int = 0, elsewhere: float = 0.0) -> Calibration:
        number = np.arange(300)
        part = (number >= 100) & (number < 200)
        rows = np.column_stack([np.full(300, 3.0), number]).astype(np.float32)
        sold = np.where(number % 2 == 0, 3.0 + (number - 100) / 100, math.nan)
        sold[~part] = 3.0 + elsewhere
        data: Any = SimpleNamespace(
            split=SimpleNamespace(validation=np.flatnonzero(part)),
            rows=rows,
            log_prices=sold.astype(np.float32),
            photos=SimpleNamespace(sound=number < 200 - unsound),
            listings=[SimpleNamespace(category="A" if n < 150 else "B") for n in number],
        )
        network: Any = SimpleNamespace(of_columns=as_they_come)
        return calibrate_heads(
            TrainedHeads(network, ListingColumns(None, rows, {})), data, objective
        )

    return run


def test_the_share_is_of_all_listings_of_the_part(calibrated: Callable[..., Calibration]) -> None:
    # 30 of 100: those from 170 on, or, where the highest 20 are refused, those from 150 to 179
    assert calibrated(Objective(delta=0.3)).threshold == 170
    assert calibrated(Objective(delta=0.3), unsound=20).threshold == 150


@pytest.mark.parametrize(
    "objective", [Objective(paper_gate=True), Objective(rule=RuleName.THRESHOLD, epsilon=0.4)]
)
def test_the_paper_s_gate_opens_at_one_half(
    calibrated: Callable[..., Calibration], objective: Objective
) -> None:
    found = calibrated(objective)
    assert found.threshold == 0
    assert found.confidence.epsilon == objective.epsilon


def test_ranges_are_of_the_accepted_listings_that_have_a_price(
    calibrated: Callable[..., Calibration],
) -> None:
    # 15 listings from 170 to 198, errors 0.70 to 0.98: the one of rank ceil(16 * .8) = 13 is 0.94
    # in units of the spread, which is level over them
    found = calibrated(Objective(delta=0.3))
    widths = [found.ranges.half_width(None, score) for score in (175.0, 195.0)]
    assert widths == pytest.approx([0.94, 0.94], abs=1e-4)
    # other parts do not count
    assert calibrated(Objective(delta=0.3), elsewhere=9.0) == found


def test_listings_of_the_kernel_are_judged_by_what_it_says_without_them() -> None:
    rows = np.array([[1.0, 2.0, 7.0], [3.0, 4.0, 8.0]], np.float32)
    kernel: Any = lambda raw: raw[:, :2] * 10  # noqa: E731
    columns = ListingColumns(kernel, rows, {1: np.array([0.5, 0.25], np.float32)})
    network: Any = SimpleNamespace(of_columns=as_they_come)
    prices, scores = TrainedHeads(network, columns).answers(np.array([1, 0]))
    assert prices.tolist() == [0.5, 10.0]
    assert scores.tolist() == [0.25, 20.0]
