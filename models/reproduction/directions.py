"""Whether the paper's directions are found again, in sentences computed from the figures.

Runs are paired: the i-th of two settings share split, seeds and batches, so what is compared is
the mean of their differences, and noise is what those differences scatter by.
"""

import itertools
import math
import statistics
from collections.abc import Sequence

from models.reproduction.figure import Figure, Kind

Runs = Sequence[float | None]
"""The values of one setting, in the order of the seeds; None where there is none."""

CANNOT_BE_TOLD = "cannot be told, as too few trainings came to an end"


def rises(
    measure: str, parameter: str, at: Sequence[float], runs: Sequence[Runs], paper: Sequence[float]
) -> str:
    """Say whether a measure rises with a parameter at every step.

    Args:
        measure: its name.
        parameter: its name.
        at: `[P]` values of the parameter, ascending.
        runs: `[P]` values of the measure.
        paper: `[P]` values of the measure in the paper.
    """
    claim = f"{measure} rises with {parameter}"
    steps = [_differences(low, high) for low, high in itertools.pairwise(runs)]
    whole = _differences(runs[0], runs[-1])
    if not whole or not all(steps):
        return f"{claim}: {CANNOT_BE_TOLD}."
    change = statistics.fmean(whole)
    ends = f"from {at[0]:g} to {at[-1]:g}"
    there = f"(the paper: it rises by {paper[-1] - paper[0]:.3f})"
    falls = [
        f"falls by {_amount(step)} from {low:g} to {high:g}"
        for step, (low, high) in zip(steps, itertools.pairwise(at), strict=True)
        if statistics.fmean(step) <= 0
    ]
    if change <= 0:
        return f"{claim}: no, it falls by {_amount(whole)} {ends} {there}."
    if falls:
        return (
            f"{claim}: not at every step, it {' and '.join(falls)}, but rises by "
            f"{_amount(whole)} {ends} {there}."
        )
    return f"{claim}: yes, at every step, by {_amount(whole)} {ends} {there}."


def ahead(
    better: str, worse: str, measure: str, first: Runs, second: Runs, paper: float | None = None
) -> str:
    """Say whether one setting has smaller errors than another.

    Args:
        better: the one that is expected to be ahead.
        worse: the other one.
        measure: what is compared, such as `MALE (percentile rule)`; smaller is better.
        first: values of `better`.
        second: values of `worse`.
        paper: by how much it is ahead in the paper, where that says so.
    """
    claim = f"{better} ahead of {worse} in {measure}"
    return _compared(claim, _differences(first, second), paper)


def higher(
    larger: str, smaller: str, measure: str, first: Runs, second: Runs, paper: float | None = None
) -> str:
    """Say whether one setting has more of something; the arguments are those of `ahead`."""
    claim = f"{larger} above {smaller} in {measure}"
    return _compared(claim, _differences(second, first), paper)


def near(measure: str, at: Sequence[float], runs: Sequence[Runs], paper: Sequence[float]) -> str:
    """Say how near shares come to those asked for, in points: the mean of the runs of each.

    Args:
        measure: name of the shares.
        at: `[P]` shares asked for.
        runs: `[P]` shares reached.
        paper: `[P]` shares reached in the paper.
    """
    means = [_mean(of_one) for of_one in runs]
    known = [(mean, asked) for mean, asked in zip(means, at, strict=True) if mean is not None]
    if len(known) < len(at):
        return f"{measure}: {CANNOT_BE_TOLD}."
    largest = max(abs(mean - asked) for mean, asked in known)
    there = max(abs(share - asked) for share, asked in zip(paper, at, strict=True))
    return (
        f"{measure} is the one asked for: within {100 * largest:.1f} points (the paper: within "
        f"{100 * there:.1f})."
    )


def spans(kind: Kind, runs: Sequence[Runs]) -> str | None:
    """Write the least and the largest of the means of settings; None where none has a value."""
    means = [mean for of_one in runs if (mean := _mean(of_one)) is not None]
    if not means:
        return None
    return f"{Figure(kind, (min(means),))} to {Figure(kind, (max(means),))}"


def _compared(claim: str, lead: Sequence[float], paper: float | None) -> str:
    if not lead:
        return f"{claim}: {CANNOT_BE_TOLD}."
    verdict = "yes" if statistics.fmean(lead) > 0 else "no"
    there = "" if paper is None else f" (the paper: {'yes' if paper > 0 else 'no'}, by {paper:.3f})"
    return f"{claim}: {verdict}, by {_amount(lead)}{there}."


def _differences(first: Runs, second: Runs) -> list[float]:
    """Return second - first of the runs in which both have a value."""
    pairs = zip(first, second, strict=True)
    return [high - low for low, high in pairs if low is not None and high is not None]


def _amount(differences: Sequence[float]) -> str:
    """Write how large a difference is, and what it is worth.

    Within the noise is what is less than two standard errors off 0.
    """
    mean = abs(statistics.fmean(differences))
    if len(differences) < 2:
        return f"{mean:.3f} in a single run"
    deviation = statistics.stdev(differences)
    noise = mean < 2 * deviation / math.sqrt(len(differences))
    return f"{mean:.3f} ± {deviation:.3f}{', which is within the noise,' if noise else ''}"


def _mean(runs: Runs) -> float | None:
    known = [run for run in runs if run is not None]
    return statistics.fmean(known) if known else None
