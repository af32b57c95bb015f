"""Single sections, with listings made by hand."""

import base64
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bundle.folder import read_bundle
from models.bundle.manifest import Manifest, RuleName
from models.dataset.reader import read_dataset
from models.evaluation.evaluate import evaluate
from models.evaluation.metrics import PriceErrors
from models.evaluation.range_coverage import RangeCoverage, Share
from models.pricer import Pricer
from models.report.cards import money, percent_off, span, spread
from models.report.curves import ranges_section
from models.report.examples import sample_sections
from models.report.subject import Subject, choose_subject
from models.report.tables import tables_section

NONE = PriceErrors(male=None, rmsle=None, r2=None, within_20=None, within_x2=None)


@pytest.fixture(scope="module")
def manifest(bundle_folder: Path) -> Manifest:
    return read_bundle(bundle_folder).manifest


@pytest.fixture(scope="module")
def subject(bundle_folder: Path, manifest: Manifest, unseen_market: Any) -> Subject:
    dataset = read_dataset(unseen_market.folder)
    found = evaluate(Pricer.load(bundle_folder, threads=1), dataset)
    return choose_subject(dataset, manifest, found)


@pytest.fixture
def tables(subject: Subject) -> Callable[[Manifest], dict[str, Any]]:
    """The tables of the last section by title."""
    return lambda manifest: {
        table.title: table for table in tables_section(subject, manifest, NONE).tables
    }


def test_the_numbers_of_the_figures_are_those_of_the_rule(
    subject: Subject, manifest: Manifest
) -> None:
    rule = manifest.rule.model_copy(update={"name": RuleName.THRESHOLD, "epsilon": 0.5})
    threshold = manifest.model_copy(update={"rule": rule})

    for of, numbers in ((manifest, (6, 7)), (threshold, (8, 9))):
        sections = sample_sections(subject, of)
        assert [section.anchor for section in sections] == [f"figure-{n}" for n in numbers]
        assert all(f"the {of.rule.name} rule" in section.title for section in sections)


def test_how_the_bundle_was_trained_is_told(
    tables: Callable[[Manifest], dict[str, Any]], manifest: Manifest
) -> None:
    rows = dict(tables(manifest)["How the bundle was trained"].rows)

    assert rows["dataset"] == "market"
    assert rows["seed"] == "0"
    assert rows["model version"] == manifest.model_version
    assert rows["epochs"] == "25; 5; 8; 2"
    assert rows["rule"] == "percentile (Eq. 1): price 60.0 % of the listings"
    assert rows["first to last"] == "–"
    source = manifest.source
    assert rows["trained, validated, kept apart"] == (
        f"{source.train}, {source.validation}, {source.test}"
    )


def test_categories_of_a_handful_are_not_drawn() -> None:
    share = {"coverage": 0.8, "coverage_low": 0.7, "coverage_high": 0.9}
    counts = {"Few": 9, "Enough": 10, "Most": 50}
    interval = RangeCoverage(
        nominal=0.8,
        count=69,
        median_width=1.0,
        by_category={name: Share(count=count, **share) for name, count in counts.items()},
        **share,
    )

    (picture,) = ranges_section(interval).pictures
    svg = base64.b64decode(picture.uri.partition(",")[2]).decode()

    assert re.findall(r">(\w+ \(\d+\))<", svg) == ["all (69)", "Most (50)", "Enough (10)"]
    assert picture.caption.endswith("too small to draw: 1.")


def test_the_tasks_of_the_extractors_have_a_table_where_there_are_any(
    tables: Callable[[Manifest], dict[str, Any]], manifest: Manifest
) -> None:
    title = "Tasks of the extractors, on listings kept apart"
    assert title not in tables(manifest)
    found = {
        "category": {
            "labelled": 1200,
            "classes": 9,
            "test": {"listings": 99, "top_1": 0.5, "top_5": 0.81234},
        },
        "attribute": {"labelled": 900, "classes": 30, "test": {"listings": 9, "map": 0.25}},
        "brand": {"skipped": "12 labels"},
    }
    table = tables(manifest.model_copy(update={"metrics": {"tasks": found}}))[title]

    assert table.header[:5] == ("task", "labelled listings", "classes", "top 1", "top 5")
    assert table.rows == [
        ("category", "1,200", "9", "0.5", "0.8123", "–", "–", "–"),
        ("attribute", "900", "30", "–", "–", "0.25", "–", "–"),
        ("brand", "left out: 12 labels", "–", "–", "–", "–", "–", "–"),
    ]


def test_amounts_are_written_for_people() -> None:
    assert money(123_456_789, "GBP") == "1,234,567.89 GBP"
    assert money(1_000, "JPY") == "1,000 JPY"
    assert span(850, 125_000, "GBP") == "8.50 to 1,250.00 GBP"
    assert percent_off(999, 1000) == "+0 %"
    assert percent_off(1200, 1000) == "+20 %"
    assert percent_off(100, 1000) == "-90 %"
    assert percent_off(50_000, 100) == "+49,900 %"


@given(st.integers(0, 200), st.integers(1, 60))
def test_a_sample_is_spread_over_all(length: int, number: int) -> None:
    chosen = spread(range(length), number)

    assert len(chosen) == min(length, number)
    assert chosen == sorted(set(chosen))
    if length > number:
        gaps = {later - earlier for earlier, later in pairwise(chosen)}
        assert gaps <= {length // number, length // number + 1}
