"""The measures of an evaluation as lines for people."""

from math import exp

from models.evaluation.metrics import ConfidenceErrors, Metrics, PriceErrors, SelectionRisk
from models.evaluation.oracle import OracleRegret
from models.evaluation.range_coverage import RangeCoverage


def metrics_table(metrics: Metrics) -> str:
    """Return the measures as a small table; a dash where there was too little to measure."""
    header = f"{'':>10}{'count':>8}{'MALE':>8}{'RMSLE':>8}{'R2':>8}{'±20 %':>8}{'x2':>8}"
    return "\n".join(
        (
            f"priced {metrics.accepted} of {metrics.listings} listings "
            f"({metrics.coverage:.1%}); the others are asked for a better photo",
            header,
            _line("all", metrics.priced, metrics.all),
            _line("accepted", None, metrics.accepted_only),
            *_range(metrics.interval),
            *_selection(metrics.risk_coverage),
            *_confidence(metrics.confidence),
            *_regret(metrics.oracle),
        )
    )


def _range(interval: RangeCoverage) -> list[str]:
    line = (
        f"the range is made for {interval.nominal:.0%} and holds the sold price of "
        f"{_share(interval.coverage)} of the accepted"
    )
    if interval.coverage is None:
        return [line]
    shares = [
        f"{level:>24} {_share(share.coverage)} of {share.count} "
        f"({share.coverage_low:.0%} to {share.coverage_high:.0%})"
        for level, share in interval.by_category.items()
    ]
    chance = f" ({interval.coverage_low:.1%} to {interval.coverage_high:.1%} by chance alone)"
    return [line + chance, *shares]


def _selection(found: SelectionRisk) -> list[str]:
    if found.male_area is None:
        return []
    return [
        f"area under the risk-coverage curve: {found.male_area:.3f} by MALE, "
        f"{found.male_excess:.3f} above a perfect order; {found.squared_area:.3f} and "
        f"{found.squared_excess:.3f} by squared error"
    ]


def _confidence(found: ConfidenceErrors) -> list[str]:
    if found.error is None:
        return []
    return [
        f"confidence, of a sold price within a factor of {exp(found.epsilon):.2f}, is off by "
        f"{100 * found.error:.1f} points on average"
    ]


def _regret(found: OracleRegret | None) -> list[str]:
    if found is None:
        return []
    return [
        f"who knows the price law has a MALE of {found.male_same:.3f} on the accepted and of "
        f"{found.male_best:.3f} on as many of its own choice; ours is {found.regret_same:.3f} and "
        f"{found.regret_best:.3f} above"
    ]


def _line(name: str, count: int | None, errors: PriceErrors) -> str:
    numbers = (errors.male, errors.rmsle, errors.r2)
    shares = (errors.within_20, errors.within_x2)
    cells = [f"{'-' if number is None else format(number, '.3f'):>8}" for number in numbers]
    cells += [f"{_share(share):>8}" for share in shares]
    return f"{name:>10}{'' if count is None else count:>8}" + "".join(cells)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
