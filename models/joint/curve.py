"""A function of the score, as a bundle holds it."""

from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

_Numbers = Annotated[tuple[float, ...], Field(min_length=1)]


class Curve(BaseModel):
    """Straight lines between knots (`at`, `value`); level before the first and after the last."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    at: _Numbers
    value: _Numbers

    @model_validator(mode="after")
    def _knots(self) -> Self:
        if len(self.at) != len(self.value) or (np.diff(self.at) <= 0).any():
            raise ValueError("a curve has one value at each of its knots, which ascend")
        return self

    def __call__(self, scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the values at scores, in their shape; those at infinity are of the end knots."""
        return np.asarray(np.interp(np.asarray(scores), self.at, self.value), dtype=np.float64)
