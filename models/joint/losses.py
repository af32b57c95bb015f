"""The joint objectives of section 3.3, each a module: Eq. 1 (percentile) and Eq. 3 (threshold).

Ours in both: the indicator C_1 of Eq. 2 is flat, so Eq. 1 as printed gives the classification
network no gradient at all. We put a straight-through gate in its place: `c = h + p - stop(p)`
with `p = sigmoid(s)` and `h = [p >= 0.5]`. Its value is exactly C_1, hence the loss is exactly
the printed one; its derivative is that of `p`. So the score of an item rises while its squared
error is below beta (as long as coverage is short of delta) and falls otherwise.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Must exceed the squared error of the best delta share (about 0.45 on log prices), or refusing
# everything is the cheapest answer; with 0.1 every trial collapsed to no coverage.
BETA = 1.0
GAMMA = 1.0
THRESHOLD_DELTA = 0.1  # Eq. 3 needs a floor only against the trivial "none qualifies"


def gate(scores: Tensor) -> Tensor:
    """Return the straight-through C_1: value `[sigmoid(s) >= 0.5]`, gradient of `sigmoid(s)`.

    Shapes: `[N] -> [N]`.
    """
    probability = torch.sigmoid(scores)
    qualified = (scores >= 0).to(probability.dtype)  # sigmoid(s) >= 0.5, without its rounding
    return qualified + (probability - probability.detach())


class PercentileLoss(nn.Module):
    """Eq. 1: `mean(c e^2) + beta max(0, delta - mean c)`, with `e = y - f_reg(x)`.

    Args:
        delta: share of items to be qualified, in (0, 1]; the paper tries 0.3 to 0.7.
        beta: weight of the missing share; usual range 0.5 to 2, see `BETA`.

    Shapes: `prices`, `scores`, `targets` `[N]`, prices as natural log; returns a scalar.
    `warm_up` is the first stage of 3.4, C_1 = 1 for all in the first term. The second term keeps
    its gate, so that the classification network starts the second stage near its coverage.
    """

    def __init__(self, *, delta: float, beta: float = BETA) -> None:
        super().__init__()
        self.delta = delta
        self.beta = beta
        self.max_coverage = 0.98  # above it the gate refuses nothing worth the name

    def forward(  # noqa: D102
        self, prices: Tensor, scores: Tensor, targets: Tensor, *, warm_up: bool = False
    ) -> Tensor:
        return _gated_error(prices, scores, targets, warm_up) + self.beta * _missing_share(
            scores, self.delta
        )


class ThresholdLoss(nn.Module):
    """Eq. 3: Eq. 1 with a small delta, plus `gamma` times the cross-entropy of C_2 (Eq. 4).

    `C_2 = [|y - f_reg(x)| <= epsilon]` labels the items; it carries no gradient, so the third
    term trains the classification network alone.

    Args:
        epsilon: largest absolute log error of a qualified item, above 0; the paper tries 0.3 to
            0.7 (0.5 is a factor of 1.65 either way).
        delta: floor of the qualified share, in [0, 1].
        beta: weight of the missing share, see `BETA`.
        gamma: weight of the cross-entropy; usual range 0.5 to 2.

    Shapes: `prices`, `scores`, `targets` `[N]`, prices as natural log; returns a scalar.
    """

    def __init__(
        self,
        *,
        epsilon: float,
        delta: float = THRESHOLD_DELTA,
        beta: float = BETA,
        gamma: float = GAMMA,
    ) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.max_coverage = 1.0  # all may be close enough
        self.delta = delta
        self.beta = beta
        self.gamma = gamma

    def forward(  # noqa: D102
        self, prices: Tensor, scores: Tensor, targets: Tensor, *, warm_up: bool = False
    ) -> Tensor:
        close_enough = ((targets - prices).abs() <= self.epsilon).to(scores.dtype).detach()
        return (
            _gated_error(prices, scores, targets, warm_up)
            + self.beta * _missing_share(scores, self.delta)
            + self.gamma * F.binary_cross_entropy_with_logits(scores, close_enough)
        )


def _gated_error(prices: Tensor, scores: Tensor, targets: Tensor, warm_up: bool) -> Tensor:
    squared = (targets - prices) ** 2
    if not warm_up:
        return (gate(scores) * squared).mean()
    # C_1 = 1 for the price network; the gate keeps the gradient that it will have in stage two
    probability = torch.sigmoid(scores)
    return (squared + (probability - probability.detach()) * squared.detach()).mean()


def _missing_share(scores: Tensor, delta: float) -> Tensor:
    return F.relu(delta - gate(scores).mean())
