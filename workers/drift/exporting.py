"""A look at drift as metrics."""

from workers.drift.report import DriftReport
from workers.runtime.metrics import DriftMetrics

_MOST = 50  # categories; each is a time series


def show(report: DriftReport, metrics: DriftMetrics) -> None:
    """Set the metrics to what a look found; what it could not tell keeps no old value."""
    for gauge in (metrics.psi, metrics.ks, metrics.error_by_age, metrics.error_by_category):
        gauge.clear()
    for column in report.columns:
        metrics.psi.labels(column.name).set(column.psi)
        if column.ks is not None:
            metrics.ks.labels(column.name).set(column.ks)
    for group in report.by_age:
        metrics.error_by_age.labels(group.name).set(group.male)
    for group in sorted(report.by_category, key=lambda each: -each.count)[:_MOST]:
        metrics.error_by_category.labels(group.name).set(group.male)
    unknown = float("nan")
    metrics.error.set(unknown if report.error is None else report.error)
    metrics.expected_error.set(unknown if report.expected_error is None else report.expected_error)
    metrics.beyond.set(len(report.reasons))
    metrics.requests.inc(report.requested)
    metrics.checked.set(report.at.timestamp())
