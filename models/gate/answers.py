"""What is compared: two models' answers to the same sold listings. All prices are natural logs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What one model says of N listings; prices are natural logs of whole currency units.

    Attributes:
        log_price: float64 `[N]`, also where the gate refuses.
        log_low: float64 `[N]`, the lower end of the range.
        log_high: float64 `[N]`, its upper end.
        score: float64 `[N]`, by which the gate orders listings.
        qualified: bool `[N]`, whether the gate accepts.
        confidence: float64 `[N]`, the probability that the error is at most epsilon.
    """

    log_price: Floats
    log_low: Floats
    log_high: Floats
    score: Floats
    qualified: Flags
    confidence: Floats

    def __len__(self) -> int:
        return len(self.log_price)

    @property
    def plausible(self) -> Flags:
        """Which answers are numbers, with a range around the price and a probability."""
        finite = np.logical_and.reduce(
            [
                np.isfinite(getattr(self, field.name))
                for field in fields(self)
                if field.name != "qualified"
            ]
        )
        with np.errstate(invalid="ignore"):
            ordered = (self.log_low <= self.log_price) & (self.log_price <= self.log_high)
            likely = (self.confidence >= 0) & (self.confidence <= 1)
        found: Flags = finite & ordered & likely
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sold:
    """The newest sold listings, which neither model has seen.

    Attributes:
        log_price: float64 `[N]`, what was paid: natural log of whole currency units.
        categories: `[N]`.
        sellers: `[N]`. The listings of one seller are alike, so they are drawn together.
    """

    log_price: Floats
    categories: Sequence[str]
    sellers: Sequence[str]

    def __len__(self) -> int:
        return len(self.log_price)
