"""The tables at the end of the page: measures, tasks of the extractors, training, listings."""

from collections.abc import Mapping

from pydantic import JsonValue

from models.bundle.manifest import Manifest, RuleName
from models.evaluation.metrics import Metrics, PriceErrors
from models.report.cards import span
from models.report.section import Section, Table, number, percent
from models.report.subject import Subject

_TASK_MEASURES = {"top_1": "top 1", "top_5": "top 5", "map": "mAP", "rmse": "RMSE", "r2": "R²"}


def tables_section(subject: Subject, manifest: Manifest, refused_errors: PriceErrors) -> Section:
    """Return the section of all tables.

    Args:
        subject: the listings.
        manifest: of the bundle.
        refused_errors: of the estimates that the refused would have got.
    """
    return Section(
        anchor="tables",
        title="All figures",
        lead="With e = ln(suggested / sold): MALE is the mean of |e| (Eq. 5), RMSLE the root of "
        "the mean of e² (Eq. 6), R² the share of the variance of log price that is explained.",
        tables=[
            _measures(subject, refused_errors),
            _promises(subject.metrics),
            *_tasks(manifest),
            _training(manifest),
            _listings(subject, manifest),
        ],
    )


def _measures(subject: Subject, refused_errors: PriceErrors) -> Table:
    metrics = subject.metrics
    accepted = len(subject.accepted)
    rows = [
        _errors("answered", accepted, metrics.accepted_only),
        _errors("refused", metrics.priced - accepted, refused_errors),
        _errors("all", metrics.priced, metrics.all),
    ]
    header = ("", "listings", "MALE", "RMSLE", "R²", "within 20 %", "half to double")
    return Table("Closeness to the sold price", header, rows)


def _errors(name: str, count: int, errors: PriceErrors) -> tuple[str, ...]:
    numbers = (errors.male, errors.rmsle, errors.r2)
    shares = (errors.within_20, errors.within_x2)
    return (name, f"{count:,}", *map(number, numbers), *map(percent, shares))


def _promises(metrics: Metrics) -> Table:
    interval, risk, confidence = metrics.interval, metrics.risk_coverage, metrics.confidence
    rows = [
        ("range is made to hold the sold price of", percent(interval.nominal)),
        ("it holds that of", percent(interval.coverage)),
        (
            "with 95 % certainty it holds that of",
            f"{percent(interval.coverage_low)} to {percent(interval.coverage_high)}",
        ),
        ("median of ln(high / low)", number(interval.median_width)),
        ("area under the risk-coverage curve (AURC)", number(risk.male_area)),
        ("of it above the best possible order (E-AURC)", number(risk.male_excess)),
        ("the same of squared errors", number(risk.squared_area)),
        ("of it above the best possible order", number(risk.squared_excess)),
        ("calibration error of the confidence (ECE)", number(confidence.error)),
    ]
    if metrics.oracle is not None:
        rows += [
            ("MALE of the oracle on the listings answered", number(metrics.oracle.male_same)),
            ("MALE of the oracle on as many of its own choice", number(metrics.oracle.male_best)),
            ("MALE above the latter (regret)", number(metrics.oracle.regret_best)),
        ]
    return Table("Range, order and confidence", (), rows)


def _tasks(manifest: Manifest) -> list[Table]:
    """Return the measures of the extractors' own tasks (3.2), where the bundle has any."""
    tasks = manifest.metrics.get("tasks")
    if not isinstance(tasks, dict) or not tasks:
        return []
    rows = []
    for name, found in tasks.items():
        about = found if isinstance(found, dict) else {}
        test = about.get("test")
        measured = test if isinstance(test, dict) else {}
        counts = [_value(about.get(key)) for key in ("labelled", "classes")]
        if "skipped" in about:
            counts[0] = f"left out: {_value(about['skipped'])}"
        rows.append((name, *counts, *(_value(measured.get(key)) for key in _TASK_MEASURES)))
    header = ("task", "labelled listings", "classes", *_TASK_MEASURES.values())
    return [Table("Tasks of the extractors, on listings kept apart", header, rows)]


def _training(manifest: Manifest) -> Table:
    source, rule, limits = manifest.source, manifest.rule, manifest.price_limits
    window = source.window
    networks = ", ".join(f"{part.name} ({part.width:,} wide)" for part in manifest.image_networks)
    rows = [
        ("model version", manifest.model_version),
        ("dataset", source.dataset),
        ("listings", f"{source.listings:,}"),
        ("sales", f"{source.sales:,}"),
        ("first to last", f"{window.start:%Y-%m-%d} to {window.end:%Y-%m-%d}" if window else "–"),
        ("trained, validated, kept apart", _counts(source.train, source.validation, source.test)),
        ("rational prices", span(limits.low_minor, limits.high_minor, manifest.currency)),
        ("rule", rule_in_words(manifest)),
        ("gate opens at score", number(rule.score_threshold)),
        ("image networks", networks),
        ("columns of the input", f"{manifest.inputs:,}"),
        ("format of the bundle", str(manifest.format_version)),
        *((name.replace("_", " "), _value(value)) for name, value in manifest.training.items()),
    ]
    return Table("How the bundle was trained", (), rows)


def rule_in_words(manifest: Manifest) -> str:
    """Say what the operator asked for."""
    rule = manifest.rule
    if rule.name is RuleName.PERCENTILE or rule.epsilon is None:
        return f"percentile (Eq. 1): price {percent(rule.delta)} of the listings"
    return f"threshold (Eq. 3): price those that are at most {rule.epsilon:g} off in log price"


def _counts(*counts: int) -> str:
    return ", ".join(f"{count:,}" for count in counts)


def _value(value: JsonValue | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return "; ".join(map(_value, value))
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_value(inner)}" for name, inner in value.items())
    return value


def _listings(subject: Subject, manifest: Manifest) -> Table:
    dataset, items = subject.dataset, subject.items
    in_currency = [
        row
        for row in dataset.listings
        if row.price_minor is not None and row.currency == manifest.currency
    ]
    rows = [
        ("dataset", dataset.name),
        ("listings in it", f"{len(dataset.listings):,}"),
        ("rows that cannot be read", f"{len(dataset.skipped):,}"),
        (f"with a price in {manifest.currency}", f"{len(in_currency):,}"),
        ("listings of this report", f"{len(items):,}"),
        ("their price is rational", f"{sum(item.sold_minor is not None for item in items):,}"),
        ("and a photo can be read", f"{len(subject.measured):,}"),
        ("and they are answered with a price", f"{len(subject.accepted):,}"),
    ]
    return Table("The listings that the figures are over", (), rows)
