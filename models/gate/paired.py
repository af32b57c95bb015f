"""A paired bootstrap over sellers: both models are judged by the same draws of the same listings.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 8. A draw gives each seller
a weight, Poisson with mean 1 in place of the multinomial: the same in the limit, and it needs no
more than one weight a seller. Sellers are drawn, not listings, because the listings of a seller
are alike: drawn one by one they would seem to tell more than they do.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.gate.answers import Flags, Floats

_WEIGHTS_AT_ONCE = 4_000_000


def sellers_of(sellers: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the number of each listing's seller `[N]`, from 0 on."""
    _, numbers = np.unique(np.asarray(sellers, dtype=object).astype(str), return_inverse=True)
    return numbers.astype(np.int64)


def differences(
    champion: tuple[Floats, Flags],
    challenger: tuple[Floats, Flags],
    seller: npt.NDArray[np.int64],
    *,
    resamples: int,
    rng: np.random.Generator,
) -> Floats:
    """Return how much larger the challenger's mean error is, in each of the draws `[R]`.

    Draws in which one of them has no listing at all are left out, so R may be smaller.

    Args:
        champion: errors `[N]`, and which of them count `[N]`.
        challenger: the same of the other model.
        seller: number of each listing's seller `[N]`.
        resamples: how many draws.
        rng: of the weights.
    """
    sellers = int(seller.max(initial=-1)) + 1
    sums = np.stack(
        [
            np.bincount(seller, weights=values, minlength=sellers)
            for errors, counts in (champion, challenger)
            for values in (np.where(counts, errors, 0.0), counts.astype(np.float64))
        ]
    )
    at_once = max(1, _WEIGHTS_AT_ONCE // max(1, sellers))
    drawn = np.concatenate(
        [
            rng.poisson(1.0, (min(at_once, resamples - done), sellers)) @ sums.T
            for done in range(0, resamples, at_once)
        ]
    )
    drawn = drawn[(drawn[:, 1] > 0) & (drawn[:, 3] > 0)]
    found: Floats = drawn[:, 2] / drawn[:, 3] - drawn[:, 0] / drawn[:, 1]
    return found
