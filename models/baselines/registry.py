"""Every baseline, in the order of the table that they stand in."""

from models.baselines.boosting import boosting
from models.baselines.protocol import Baseline
from models.baselines.quantiles import QuantileWidth
from models.baselines.ridge import ridge, statistics_only
from models.baselines.selective_net import SelectiveNet
from models.baselines.separate import SeparateTraining


def all_baselines() -> list[Baseline]:
    """Return every baseline, unfitted."""
    return [
        SeparateTraining(cross_fitted=False),
        SeparateTraining(cross_fitted=True),
        SelectiveNet(),
        QuantileWidth(),
        boosting(),
        ridge(),
        statistics_only(),
    ]
