"""The tables at the end of the page: measures, tasks of the extractors, training, listings."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from models.bundle.manifest import Manifest, RuleName
from models.evaluation.metrics import PriceErrors
from models.report.cards import money
from models.report.section import Section, Table, number, percent
from models.report.subject import Subject


def tables_section(
    subject: Subject, manifest: Manifest, refused_errors: PriceErrors, more: Sequence[Table]
) -> Section:
    """Return the section of all tables.

    Args:
        subject: the listings.
        manifest: of the bundle.
        refused_errors: of the estimates that the refused would have got.
        more: other measures, after those of the prices.
    """
    return Section(
        anchor="tables",
        title="All figures",
        lead="With e = ln(suggested / sold): MALE is the mean of |e| (Eq. 5), RMSLE the root of "
        "the mean of e² (Eq. 6), R² the share of the variance of log price that is explained.",
        tables=[
            _measures(subject, refused_errors),
            *more,
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


def _tasks(manifest: Manifest) -> list[Table]:
    """Return the measures of the extractors' own tasks, where the bundle has any."""
    tasks = manifest.metrics.get("extractors")
    if not isinstance(tasks, dict):
        return []
    measured = {name: values for name, values in tasks.items() if isinstance(values, dict)}
    columns = list(dict.fromkeys(column for values in measured.values() for column in values))
    rows = [
        (name, *(_value(values.get(column)) for column in columns))
        for name, values in measured.items()
    ]
    return [Table("Tasks of the extractors", ("task", *columns), rows)] if rows else []


def _training(manifest: Manifest) -> Table:
    source, rule, limits = manifest.source, manifest.rule, manifest.price_limits
    currency = manifest.currency
    window = source.window
    networks = ", ".join(f"{part.name} ({part.width:,} wide)" for part in manifest.image_networks)
    rows = [
        ("model version", manifest.model_version),
        ("dataset", source.dataset),
        ("listings", f"{source.listings:,}"),
        ("sales", f"{source.sales:,}"),
        ("first to last", f"{window.start:%Y-%m-%d} to {window.end:%Y-%m-%d}" if window else "–"),
        ("trained, validated, kept apart", _counts(source.train, source.validation, source.test)),
        (
            "rational prices",
            f"{money(limits.low_minor, currency)} to {money(limits.high_minor, currency)}",
        ),
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
        return ", ".join(map(_value, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(inner)}" for name, inner in value.items())
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
