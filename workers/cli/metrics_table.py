"""The measures of an evaluation as lines for people."""

from models.evaluation.metrics import Metrics, PriceErrors


def metrics_table(metrics: Metrics) -> str:
    """Return the measures as a small table; a dash where there was too little to measure."""
    header = f"{'':>10}{'count':>8}{'MALE':>8}{'RMSLE':>8}{'R2':>8}{'±20 %':>8}{'x2':>8}"
    interval = metrics.interval
    return "\n".join(
        (
            f"priced {metrics.accepted} of {metrics.listings} listings "
            f"({metrics.coverage:.1%}); the others are asked for a better photo",
            header,
            _line("all", metrics.priced, metrics.all),
            _line("accepted", None, metrics.accepted_only),
            f"the range is made for {interval.nominal:.0%} and holds the sold price of "
            f"{_share(interval.coverage)} of the accepted",
        )
    )


def _line(name: str, count: int | None, errors: PriceErrors) -> str:
    numbers = (errors.male, errors.rmsle, errors.r2)
    shares = (errors.within_20, errors.within_x2)
    cells = [f"{'-' if number is None else format(number, '.3f'):>8}" for number in numbers]
    cells += [f"{_share(share):>8}" for share in shares]
    return f"{name:>10}{'' if count is None else count:>8}" + "".join(cells)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
