"""The page: what stands where, as one HTML file that needs nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, sqrt
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.bundle.manifest import Manifest, RuleName
from models.dataset.rows import Dataset
from models.evaluation.evaluate import evaluate
from models.evaluation.metrics import PriceErrors, price_errors
from models.extractors.cache import FeatureCache
from models.pricer import Pricer
from models.report.curves import (
    prices_section,
    ranges_section,
    reliability_section,
    risk_coverage_section,
)
from models.report.examples import SellerHint, extreme_sections, gate_section, sample_sections
from models.report.section import Section, number, percent
from models.report.subject import Origin, Subject, choose_subject
from models.report.tables import rule_in_words, tables_section

Progress = Callable[[str, int, int], None]
"""Told of progress: name of the stage, steps done, steps in all."""

_NOTES = {
    Origin.KEPT_APART: "The bundle was trained on this dataset. Only the listings are shown that "
    "were kept apart from training, so the figures are those of new listings.",
    Origin.TRAINED_ON: "The bundle was trained on this dataset, and the listings that it learnt "
    "from are among those shown: the figures are better than they will be for new listings.",
    Origin.UNKNOWN: "The bundle was trained on a dataset of this name, and which of these listings "
    "it learnt from cannot be told: the figures may be better than for new listings.",
}
_FEW = 100


@dataclass(frozen=True, slots=True)
class Note:
    """What to know before the figures; a warning says that they may mislead."""

    text: str
    warning: bool


@dataclass(frozen=True, slots=True)
class Fact:
    """A headline figure, with a few words on what it means."""

    name: str
    value: str
    remark: str


def report_page(
    pricer: Pricer,
    dataset: Dataset,
    *,
    seller_hint: SellerHint,
    all_listings: bool = False,
    cache: FeatureCache | None = None,
    progress: Progress = lambda stage, done, total: None,  # noqa: ARG005
) -> str:
    """Evaluate a bundle on a dataset and return the page about it, as HTML.

    The same bundle and dataset give the same page.

    Args:
        pricer: the bundle.
        dataset: listings with photos, some with prices.
        seller_hint: what a seller is told beside a reason.
        all_listings: of the dataset that the bundle was trained on show all, not only the part
            that was kept apart.
        cache: image features that need not be computed again.
        progress: told of progress.

    Raises:
        DatasetError: there are no listings, no readable photo, or no price to measure by.
    """
    evaluation = evaluate(
        pricer,
        dataset,
        cache=cache,
        progress=lambda done, total: progress("photos", done, total),
    )
    progress("drawing", 0, 1)
    manifest = pricer.bundle.manifest
    subject = choose_subject(dataset, manifest, evaluation, all_listings=all_listings)
    refused_errors = _errors_of_refused(subject)
    sections = [
        prices_section(subject, manifest),
        *sample_sections(subject, manifest),
        risk_coverage_section(subject, manifest.currency),
        reliability_section(subject.metrics.confidence),
        ranges_section(subject.metrics.interval),
        *extreme_sections(subject, manifest.currency),
        gate_section(subject, manifest.currency, refused_errors, seller_hint),
        tables_section(subject, manifest, refused_errors),
    ]
    page = render(
        title=f"Price suggestions for {dataset.name}",
        lead=_lead(subject, manifest),
        notes=_notes(subject),
        facts=_facts(subject, manifest),
        sections=sections,
    )
    progress("drawing", 1, 1)
    return page


def render(
    *,
    title: str,
    lead: str,
    notes: Sequence[Note],
    facts: Sequence[Fact],
    sections: Sequence[Section],
) -> str:
    """Return the HTML of a page; all text is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        title=title, lead=lead, notes=notes, facts=facts, sections=sections
    )


def _errors_of_refused(subject: Subject) -> PriceErrors:
    refused = [item for item in subject.measured if not item.prediction.accepted]
    table = np.array(
        [
            (item.prediction.estimate.price_minor, item.sold_minor)
            for item in refused
            if item.prediction.estimate is not None
        ],
        dtype=np.float64,
    ).reshape(-1, 2)
    return price_errors(table[:, 0], table[:, 1])


def _lead(subject: Subject, manifest: Manifest) -> str:
    return (
        f"What the bundle {manifest.model_version} answers to {len(subject.items):,} listings, and "
        f"how that compares with what {len(subject.measured):,} of them sold for, in "
        f"{manifest.currency}. Rule: {rule_in_words(manifest)}."
    )


def _notes(subject: Subject) -> list[Note]:
    notes = []
    if subject.origin in _NOTES:
        notes.append(Note(_NOTES[subject.origin], subject.origin is not Origin.KEPT_APART))
    count = len(subject.accepted)
    if not count:
        notes.append(Note("No answered listing has a price to compare with.", warning=True))
    elif count < _FEW:
        text = (
            f"Only {count:,} answered listings have a price to compare with: each share below may "
            f"be off by about {196 * sqrt(0.25 / count):.0f} points from chance alone."
        )
        notes.append(Note(text, warning=True))
    return notes


def _facts(subject: Subject, manifest: Manifest) -> list[Fact]:
    metrics, rule = subject.metrics, manifest.rule
    errors, interval = metrics.accepted_only, metrics.interval
    asked = f"; {percent(rule.delta)} were asked for" if rule.name is RuleName.PERCENTILE else ""
    factor = f"a factor of {exp(errors.male):.2f} on average, " if errors.male is not None else ""
    width = interval.median_width
    return [
        Fact(
            "answered with a price",
            percent(metrics.coverage),
            f"{metrics.accepted:,} of {metrics.listings:,} listings{asked}",
        ),
        Fact(
            "within 20 % of the sold price",
            percent(errors.within_20),
            "of the suggestions; without refusing it would be " + percent(metrics.all.within_20),
        ),
        Fact(
            "between its half and its double",
            percent(errors.within_x2),
            "of the suggestions; without refusing it would be " + percent(metrics.all.within_x2),
        ),
        Fact(
            "mean error (MALE)",
            number(errors.male),
            f"{factor}of the suggestions; without refusing {number(metrics.all.male)}",
        ),
        Fact(
            "range holds the sold price",
            percent(interval.coverage),
            f"made for {percent(interval.nominal)}"
            + (f"; its top is usually {exp(width):.1f} times its bottom" if width else ""),
        ),
    ]
