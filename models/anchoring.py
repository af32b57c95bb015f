"""What a suggestion does to the price that it foretells: sellers who see it may ask for it.

Listings whose suggestion is held back by lot are the control: their sold prices are as they would
have been. Where suggestions pull prices towards them, those of the others lie nearer to what was
suggested, and an error measured on them flatters the model. The test is a permutation test, exact
as the control is drawn by lot: Fisher, "The Design of Experiments" (1935), chapter 3.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MIN_CONTROLS = 50  # sold; with fewer only a pull of half of all errors would show
SIGNIFICANT = 0.05
_PERMUTATIONS = 1999


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchoring:
    """What was found; lengths in natural log of price, None where there are too few controls.

    Attributes:
        controls: sold listings whose suggestion was held back.
        treated: sold listings whose suggestion was seen.
        shift: mean log (sold / suggested) of the treated less that of the control: above 0 where
            suggestions raise prices.
        shift_p: probability of a shift as large, either way, if suggestions did nothing.
        pull: by what share the mean |log (sold / suggested)| of the treated is below that of the
            control: 0 where suggestions do nothing, 1 where everybody takes them.
        pull_p: probability of a pull as large, either way, if suggestions did nothing.
    """

    controls: int
    treated: int
    shift: float | None = None
    shift_p: float | None = None
    pull: float | None = None
    pull_p: float | None = None

    def says(self) -> str:
        """Return one sentence for people."""
        if self.pull is None or self.shift is None:
            return (
                f"what suggestions do to prices cannot be told: {self.controls} of the control and "
                f"{self.treated} others were sold, {MIN_CONTROLS} of each are needed "
                "(SECONDSIGHT_CONTROL_SHARE)"
            )
        moved = [
            text
            for p, text in (
                (self.pull_p, f"pull sold prices towards them by {self.pull:.0%} of the distance"),
                (self.shift_p, f"shift sold prices by {np.expm1(self.shift):+.1%}"),
            )
            if p is not None and p < SIGNIFICANT
        ]
        about = f"{self.controls} of the control, {self.treated} others; "
        about += f"pull {self.pull:.0%}, p {self.pull_p:.3f}; shift {self.shift:+.3f}, "
        about += f"p {self.shift_p:.3f}"
        return f"suggestions {' and '.join(moved) or 'do nothing to prices that shows'} ({about})"


def anchoring(
    suggested: Array, sold: Array, control: npt.NDArray[np.bool_], *, seed: int
) -> Anchoring:
    """Compare sold prices of the control with those of listings whose suggestion was seen.

    Args:
        suggested: `[N]` natural log of the suggested price; of a control, of what would have been.
        sold: `[N]` natural log of the sold price.
        control: `[N]` whose suggestion was held back by lot.
        seed: of the permutations.
    """
    controls = int(control.sum())
    treated = len(control) - controls
    if min(controls, treated) < MIN_CONTROLS:
        return Anchoring(controls=controls, treated=treated)
    signed = sold - suggested
    values = np.stack([signed, np.abs(signed)])  # [2, N]
    found = _differences(values, control)
    rng = np.random.default_rng(seed)
    drawn = np.stack([_differences(values, rng.permutation(control)) for _ in range(_PERMUTATIONS)])
    extreme = (np.abs(drawn) >= np.abs(found)).sum(axis=0)
    shift_p, pull_p = (1 + extreme) / (1 + _PERMUTATIONS)
    usual = float(values[1, control].mean())
    return Anchoring(
        controls=controls,
        treated=treated,
        shift=float(found[0]),
        shift_p=float(shift_p),
        pull=float(-found[1] / usual) if usual else 0.0,
        pull_p=float(pull_p),
    )


def _differences(values: Array, control: npt.NDArray[np.bool_]) -> Array:
    """Return the mean of the treated less that of the control, of each row of values."""
    found: Array = values[:, ~control].mean(axis=1) - values[:, control].mean(axis=1)
    return found
