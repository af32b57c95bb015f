"""The gate: a challenger is compared with the champion on sold listings that neither has seen."""

from collections.abc import Iterator

import numpy as np

from models.evaluation.reliability import BINS, reliability
from models.gate.answers import Answers, Flags, Floats, Sold
from models.gate.paired import differences, sellers_of
from models.gate.rules import GateRules
from models.gate.verdict import Check, Verdict

_SLACK = 2.0  # standard deviations that chance may take of a share


def judge(
    champion: Answers | None,
    challenger: Answers,
    sold: Sold,
    *,
    rules: GateRules,
    range_probability: float,
    epsilon: float,
    coverage: float | None,
    seed: int,
    further: tuple[Check, ...] = (),
) -> Verdict:
    """Compare two models.

    Args:
        champion: its answers to the N listings; None where no model is in use, and then the
            challenger is held to absolute limits only.
        challenger: the new model's answers.
        sold: what the listings sold for.
        rules: the margins.
        range_probability: share of sold prices that the challenger's ranges are made to hold.
        epsilon: the log error that its confidence is about.
        coverage: share of listings that it is to accept; None where none was asked for, and then
            it has to keep the champion's.
        seed: of the bootstrap.
        further: checks that were made elsewhere, such as that of poisoning.

    Raises:
        ValueError: the lengths differ, or a sold price is not finite.
    """
    if {len(challenger), len(sold.categories), len(sold.sellers)} != {len(sold)} or (
        champion is not None and len(champion) != len(sold)
    ):
        raise ValueError("champion, challenger and sold listings differ in length")
    if not np.isfinite(sold.log_price).all():
        raise ValueError("a sold price is not finite")
    fit = (_enough(sold, rules), _plausible(challenger))
    if not all(check.passed for check in fit):
        return Verdict((*fit, *further))  # the others would compare nothing, or nonsense
    wanted = coverage
    if wanted is None and champion is not None:
        wanted = float(champion.qualified.mean())
    checks = [*fit]
    if champion is not None:
        checks += _errors(champion, challenger, sold, wanted, rules, seed)
    checks.append(_coverage(challenger, wanted, rules))
    checks.append(_ranges(champion, challenger, sold, range_probability, rules))
    checks.append(_calibration(champion, challenger, sold, epsilon, rules))
    return Verdict((*checks, *further))


def _enough(sold: Sold, rules: GateRules) -> Check:
    count, sellers = len(sold), len(set(sold.sellers))
    return Check(
        "enough sold listings",
        count >= rules.min_listings and sellers > 1,
        f"{count} of {sellers} sellers; at least {rules.min_listings} of two are needed",
        {"listings": count, "sellers": sellers},
    )


def _plausible(challenger: Answers) -> Check:
    odd = int((~challenger.plausible).sum())
    return Check(
        "answers are plausible",
        odd == 0,
        f"{odd} of {len(challenger)} are not finite, or outside of their own range",
        {"implausible": odd},
    )


def _errors(
    champion: Answers,
    challenger: Answers,
    sold: Sold,
    coverage: float | None,
    rules: GateRules,
    seed: int,
) -> Iterator[Check]:
    """Compare the mean errors: of all, at equal coverage, and in each category."""
    ours, theirs = (_error(answers, sold) for answers in (challenger, champion))
    seller = sellers_of(sold.sellers)
    everything = np.ones(len(sold), np.bool_)
    share = coverage if coverage else 1.0
    subsets = [
        ("error of all", everything, everything),
        (f"error of the best {share:.0%}", _best(champion, share), _best(challenger, share)),
    ]
    rng = np.random.default_rng(seed)
    for name, of_champion, of_challenger in subsets:
        drawn = differences(
            (theirs, of_champion),
            (ours, of_challenger),
            seller,
            resamples=rules.resamples,
            rng=rng,
        )
        before, after = float(theirs[of_champion].mean()), float(ours[of_challenger].mean())
        bound = float(np.quantile(drawn, rules.confidence))
        yield Check(
            name,
            bound <= rules.margin,
            f"{before:.4f} before, {after:.4f} now; at most {bound:+.4f} worse at "
            f"{rules.confidence:.0%} confidence, {rules.margin:.4f} is allowed",
            {"champion": before, "challenger": after, "bound": bound},
        )
    yield _categories(theirs, ours, sold, seller, rules, rng)


def _categories(
    theirs: Floats,
    ours: Floats,
    sold: Sold,
    seller: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    rules: GateRules,
    rng: np.random.Generator,
) -> Check:
    names, of_listing, counts = np.unique(
        np.asarray(sold.categories, dtype=object).astype(str),
        return_inverse=True,
        return_counts=True,
    )
    looked_at = [item for item in range(len(names)) if counts[item] >= rules.min_category]
    # Bonferroni: of many categories one looks worse by chance
    level = (1 - rules.confidence) / max(1, len(looked_at))
    worse: dict[str, float] = {}
    for item in looked_at:
        part: Flags = of_listing == item
        numbers = np.unique(seller[part], return_inverse=True)[1]
        all_of_it = np.ones(int(part.sum()), np.bool_)
        drawn = differences(
            (theirs[part], all_of_it),
            (ours[part], all_of_it),
            numbers,
            resamples=rules.resamples,
            rng=rng,
        )
        if len(drawn) and (bound := float(np.quantile(drawn, level))) > rules.category_margin:
            worse[str(names[item])] = bound
    says = f"none of {len(looked_at)} is surely worse by {rules.category_margin:.2f}"
    if worse:
        says = "surely worse: " + ", ".join(
            f"{name} by {bound:.3f}" for name, bound in sorted(worse.items(), key=lambda x: -x[1])
        )
    return Check("categories", not worse, says, {"looked_at": len(looked_at), "worse": len(worse)})


def _coverage(challenger: Answers, wanted: float | None, rules: GateRules) -> Check:
    share = float(challenger.qualified.mean())
    if wanted is None:  # the threshold rule, and nobody to compare with
        passed = share > 0.0
        return Check("coverage", passed, f"{share:.1%} are accepted", {"coverage": share})
    allowed = rules.coverage_tolerance + _SLACK * _deviation(wanted, len(challenger))
    return Check(
        "coverage",
        abs(share - wanted) <= allowed and share > 0,
        f"{share:.1%} are accepted, {wanted:.1%} wanted, {allowed:.1%} off is allowed",
        {"coverage": share, "wanted": wanted},
    )


def _ranges(
    champion: Answers | None,
    challenger: Answers,
    sold: Sold,
    range_probability: float,
    rules: GateRules,
) -> Check:
    accepted = challenger.qualified
    if not accepted.any():
        return Check("ranges", False, "nothing is accepted", {"inside": 0.0})
    share = _inside(challenger, sold)
    least = (
        range_probability
        - rules.range_tolerance
        - _SLACK * _deviation(range_probability, int(accepted.sum()))
    )
    has_yardstick = champion is not None and champion.qualified.any()
    if champion is not None and has_yardstick:  # to keep what holds no more would help nobody
        least = min(least, _inside(champion, sold))
    width = _median_width(challenger)
    says = f"{share:.1%} of the sold prices lie inside, at least {least:.1%} have to"
    passed = share >= least
    figures = {"inside": share, "least": least, "width": width}
    if champion is not None and has_yardstick:
        widest = rules.range_growth * _needed_width(champion, sold, range_probability)
        passed = passed and width <= widest
        says += f"; median width {width:.3f}, at most {widest:.3f} is allowed"
        figures["widest"] = widest
    return Check("ranges", passed, says, figures)


def _calibration(
    champion: Answers | None, challenger: Answers, sold: Sold, epsilon: float, rules: GateRules
) -> Check:
    close = _error(challenger, sold) <= epsilon
    error = reliability(challenger.confidence, close).error
    rate = float(close.mean())
    chance = 0.8 * float(np.sqrt(rate * (1 - rate) * BINS / len(sold)))
    allowed = rules.calibration_tolerance + chance
    if champion is not None:
        close = _error(champion, sold) <= epsilon
        allowed = max(allowed, reliability(champion.confidence, close).error)
    return Check(
        "confidence is calibrated",
        error <= allowed,
        f"expected calibration error {error:.3f}, {allowed:.3f} is allowed",
        {"error": error, "allowed": allowed},
    )


def _inside(answers: Answers, sold: Sold) -> float:
    """Return the share of the sold prices of what it accepts that its ranges hold."""
    inside = (answers.log_low <= sold.log_price) & (sold.log_price <= answers.log_high)
    return float(inside[answers.qualified].mean())


def _error(answers: Answers, sold: Sold) -> Floats:
    found: Floats = np.abs(answers.log_price - sold.log_price)
    return found


def _best(answers: Answers, share: float) -> Flags:
    """Return which listings a gate takes first: that share, those of equal score by position."""
    taken = np.zeros(len(answers), np.bool_)
    count = max(1, round(share * len(answers)))
    taken[np.argsort(-answers.score, kind="stable")[:count]] = True
    return taken


def _median_width(answers: Answers) -> float:
    width = answers.log_high - answers.log_low
    return float(np.median(width[answers.qualified]))


def _needed_width(answers: Answers, sold: Sold, range_probability: float) -> float:
    """Return how wide a model's ranges are, or if they hold too few prices, would have to be."""
    accepted = answers.qualified
    half = (answers.log_high - answers.log_low)[accepted] / 2
    middle = (answers.log_high + answers.log_low)[accepted] / 2
    far = np.abs(sold.log_price[accepted] - middle) / np.maximum(half, np.finfo(np.float64).tiny)
    needed = float(np.quantile(far, range_probability))
    return _median_width(answers) * max(1.0, needed)


def _deviation(share: float, count: int) -> float:
    return float(np.sqrt(share * (1 - share) / count))
