"""What the confidence of a suggestion says."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from models.joint.curve import Curve


class Confidence(BaseModel):
    """The probability that a thing sells within a factor `exp(epsilon)` of the suggested price.

    It is about listings like those of training that sell for a rational price. `probability` is
    a function of the score s, nowhere falling.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epsilon: Annotated[float, Field(gt=0)]
    probability: Curve

    def __call__(self, score: float) -> float:
        """Return the probability at a score, in 0..1."""
        return min(1.0, max(0.0, float(self.probability(score))))  # of rounding between knots
