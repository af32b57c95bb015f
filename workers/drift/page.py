"""A look at drift as a page with plots."""

from models.report.figures import draw_bars
from models.report.page import Fact, Note, render
from models.report.section import Picture, Section, Table, number
from workers.drift.report import DriftReport, GroupError

_MOST = 25  # categories; those with most sales
_FEW = 20  # sales; a mean of fewer is chance


def drift_page(report: DriftReport, *, psi_limit: float) -> str:
    """Return the page, as one HTML file that needs nothing else."""
    growth = report.growth
    return render(
        title=f"Drift from {report.model_version}",
        lead=f"{report.current:,} listings since {report.current_start:%Y-%m-%d} beside "
        f"{report.reference:,} {report.reference_of}, as of {report.at:%Y-%m-%d %H:%M} UTC.",
        notes=[Note(report.says, warning=bool(report.reasons))],
        facts=[
            Fact(
                "largest PSI",
                number(max((each.psi for each in report.columns), default=None)),
                f"of {len(report.columns)} columns; over {psi_limit:g} a new model is asked for",
            ),
            Fact(
                "mean error (MALE)",
                number(report.error),
                f"of {report.errors_scored:,} that have sold; {number(report.expected_error)} when "
                "the model was made" + (f", {growth:.2f} times that now" if growth else ""),
            ),
        ],
        sections=[
            _columns(report, psi_limit),
            _errors(
                "age",
                "Error by age of the model",
                "Weeks for which a model had been answering, over all models: how fast they rot.",
                [each.model_copy(update={"name": f"week {each.name}"}) for each in report.by_age],
            ),
            _errors(
                "categories",
                "Error by category",
                f"The {_MOST} categories with most sales of late.",
                sorted(report.by_category, key=lambda each: -each.count)[:_MOST],
            ),
        ],
    )


def _columns(report: DriftReport, psi_limit: float) -> Section:
    title, lead = "What has moved", "There are too few listings to tell."
    if not report.columns:
        return Section(anchor="columns", title=title, lead=lead)
    names = [each.name for each in report.columns]
    return Section(
        anchor="columns",
        title=title,
        lead="The population stability index says how much a column has moved, the test of "
        "Kolmogorov and Smirnov whether chance does it.",
        pictures=[
            Picture(
                draw_bars(names, [each.psi for each in report.columns], "PSI", psi_limit),
                f"PSI of each column; the limit is {psi_limit:g}.",
            )
        ],
        tables=[
            Table(
                "",
                ("column", "PSI", "of that by chance", "KS", "p", ""),
                [
                    (
                        each.name,
                        number(each.psi),
                        number(each.by_chance),
                        number(each.ks),
                        "–" if each.p_value is None else f"{each.p_value:.1e}",
                        "beyond" if each.beyond else "",
                    )
                    for each in sorted(report.columns, key=lambda each: -each.psi)
                ],
            )
        ],
    )


def _errors(anchor: str, title: str, lead: str, groups: list[GroupError]) -> Section:
    shown = [each for each in groups if each.count >= _FEW]
    if not shown:
        return Section(anchor=anchor, title=title, lead=f"Fewer than {_FEW} sales in each.")
    return Section(
        anchor=anchor,
        title=title,
        lead=lead,
        pictures=[
            Picture(
                draw_bars(
                    [each.name for each in shown],
                    [each.male for each in shown],
                    "mean error (MALE)",
                    None,
                ),
                lead,
            )
        ],
        tables=[
            Table(
                "",
                ("", "MALE", "sales"),
                [(each.name, number(each.male), f"{each.count:,}") for each in shown],
            )
        ],
    )
