"""The grid: every training that the tables need, each once."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

from models.baselines.registry import all_baselines
from models.bundle.manifest import RuleName

JOINT = "joint"
MIDDLE = 0.5  # delta or epsilon of Tables 4 and 5
DELTAS = (0.3, 0.4, 0.5, 0.6, 0.7)
EPSILONS = (0.3, 0.4, 0.5, 0.6, 0.7)
TABLES = (1, 2, 3, 4, 5, 6)


class FeatureSet(StrEnum):
    """Where the image features come from (3.2).

    `perfect` is no feature of a photo but what the simulator knows that it is worth, see
    `models.reproduction.perfect`.
    """

    PRETRAINED = "pretrained"
    STFE = "STFE"
    MSTFE = "MSTFE"
    PERFECT = "perfect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is trained, but for the seed.

    Attributes:
        method: `joint`, or the name of a baseline.
        rule: the operator's constraint; of a baseline, always percentile.
        parameter: delta of the percentile rule, epsilon of the threshold rule.
        features: of the photos.
        warm_up: whether there is a first stage (3.4); without it the second is as much longer.
        kernel: whether the joint networks begin as the answers of a kernel regression, which is
            ours; else they begin with nothing, as the paper's do and those of the baselines.
    """

    method: str = JOINT
    rule: RuleName = RuleName.PERCENTILE
    parameter: float = MIDDLE
    features: FeatureSet = FeatureSet.PRETRAINED
    warm_up: bool = True
    kernel: bool = True

    def __str__(self) -> str:
        name = "delta" if self.rule is RuleName.PERCENTILE else "epsilon"
        said = [f"{self.method}, {name} {self.parameter:g}"]
        if self.features is not FeatureSet.PRETRAINED:
            said.append(self.features)
        if not self.warm_up:
            said.append("no warm-up")
        if self.method == JOINT and not self.kernel:
            said.append("no kernel")
        return ", ".join(said)


@dataclass(frozen=True, slots=True)
class Cell:
    """One training: a setting and the seed of its split, weights and batches."""

    setting: Setting
    seed: int

    def __str__(self) -> str:
        return f"{self.setting}, seed {self.seed}"


def settings_of(table: int) -> list[Setting]:
    """Return the settings of a table of `TABLES`, in the order of its rows."""
    match table:
        case 2:
            return [Setting(parameter=delta) for delta in DELTAS]
        case 3:
            return [Setting(rule=RuleName.THRESHOLD, parameter=epsilon) for epsilon in EPSILONS]
        case 4:
            return [
                Setting(rule=rule, features=features)
                for rule, features in product(
                    RuleName, (FeatureSet.STFE, FeatureSet.MSTFE, FeatureSet.PRETRAINED)
                )
            ]
        case 5:
            return [
                Setting(rule=rule, warm_up=warm_up, kernel=False)
                for rule, warm_up in product(RuleName, (False, True))
            ]
        case 6:
            return [
                Setting(),
                Setting(kernel=False),
                *(Setting(method=one.name, kernel=False) for one in all_baselines()),
                Setting(features=FeatureSet.PERFECT),
            ]
        case _:
            return []


def grid(tables: Sequence[int], seeds: int, *, perfect: bool) -> list[Cell]:
    """Return the trainings of some tables; all those of the first seed come first.

    `perfect` tells whether it is known what photos are worth; else those rows are left out.
    """
    settings = dict.fromkeys(
        setting
        for table in tables
        for setting in settings_of(table)
        if perfect or setting.features is not FeatureSet.PERFECT
    )
    return [Cell(setting, seed) for seed in range(seeds) for setting in settings]
