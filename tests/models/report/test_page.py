"""The page as a reader sees it, compared with the evaluation that it is of."""

import base64
import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from models.dataset.reader import read_dataset
from models.evaluation.evaluate import Evaluation, evaluate
from models.evaluation.reliability import reliability
from models.pricer import Pricer

SECTIONS = [
    "figure-3",
    "figure-6",
    "figure-7",
    "risk-coverage",
    "reliability",
    "ranges",
    "best",
    "worst",
    "gate",
    "tables",
]


def test_the_sections_come_in_their_order(unseen_page: str, read: Any) -> None:
    page = read(unseen_page)

    names = [name for name in page.sections if name and not name.startswith("reason-")]
    assert names == SECTIONS
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links == [f"#{name}" for name in SECTIONS]
    assert "trained on this dataset" not in page.text


def test_the_numbers_are_those_of_the_evaluation(
    unseen_page: str, unseen: Evaluation, read: Any
) -> None:
    page, metrics = read(unseen_page), unseen.metrics
    found = {row[0]: row[1:] for row in page.rows}
    accepted = sum(
        p.accepted and sold is not None
        for p, sold in zip(unseen.predictions, unseen.sold_minor, strict=True)
    )
    for name, count, errors in (
        ("answered", accepted, metrics.accepted_only),
        ("all", metrics.priced, metrics.all),
    ):
        assert errors.male is not None
        assert errors.within_20 is not None
        assert errors.within_x2 is not None
        assert found[name] == [
            str(count),
            f"{errors.male:.3f}",
            f"{errors.rmsle:.3f}",
            f"{errors.r2:.3f}",
            f"{100 * errors.within_20:.1f} %",
            f"{100 * errors.within_x2:.1f} %",
        ]
    head = page.text[: page.text.index("Of the dataset's 100 prices")]
    assert metrics.interval.coverage is not None
    assert f"answered with a price {100 * metrics.coverage:.1f} %" in head
    assert f"{metrics.accepted} of 100 listings; 60.0 % were asked for" in head
    assert f"mean error (MALE) {metrics.accepted_only.male:.3f}" in head
    assert f"range holds the sold price {100 * metrics.interval.coverage:.1f} %" in head
    refused = [
        abs(np.log(p.estimate.price_minor / sold))
        for p, sold in zip(unseen.predictions, unseen.sold_minor, strict=True)
        if p.estimate and sold and not p.accepted
    ]
    assert found["refused"][:2] == [str(len(refused)), f"{np.mean(refused):.3f}"]
    assert f"would have been {np.mean(refused):.3f}" in page.sections["gate"]


def test_the_examples_are_what_was_answered(
    unseen_page: str, unseen: Evaluation, unseen_market: Any, read: Any
) -> None:
    page = read(unseen_page)
    by_id = {p.listing_id: p for p in unseen.predictions}
    sold = dict(zip(by_id, unseen.sold_minor, strict=True))
    for section, accepted in (("figure-6", True), ("figure-7", False)):
        shown = re.findall(r"unseen-\d+", page.sections[section])
        assert len(shown) == 12
        assert all(by_id[name].accepted is accepted for name in shown)
        assert len(page.images[section]) == 12
        for name in shown:
            estimate = by_id[name].estimate
            assert estimate is not None
            assert f"{estimate.price_minor / 100:.2f} GBP" in page.sections[section]
            if sold[name] is not None:
                assert f"{unseen_market.prices[name]:.2f} GBP" in page.sections[section]


def test_best_and_worst_are_ranked_by_log_error(
    unseen_page: str, unseen: Evaluation, read: Any
) -> None:
    page = read(unseen_page)
    errors = {
        p.listing_id: abs(np.log(p.estimate.price_minor / sold))
        for p, sold in zip(unseen.predictions, unseen.sold_minor, strict=True)
        if p.accepted and p.estimate and sold
    }
    ranked = sorted(errors, key=lambda name: errors[name])
    assert re.findall(r"unseen-\d+", page.sections["best"]) == ranked[:6]
    assert re.findall(r"unseen-\d+", page.sections["worst"]) == ranked[:-7:-1]


def test_the_curves_are_of_the_scores_and_the_confidences(
    unseen_page: str, unseen: Evaluation, pricer: Pricer, read: Any
) -> None:
    page = read(unseen_page)
    errors, scores, confidences = np.transpose(
        [
            (abs(np.log(p.estimate.price_minor / sold)), p.estimate.score, p.estimate.confidence)
            for p, sold in zip(unseen.predictions, unseen.sold_minor, strict=True)
            if p.estimate and sold
        ]
    )
    risk = np.cumsum(errors[np.argsort(-scores)]) / np.arange(1, len(errors) + 1)
    assert f"(AURC) {risk.mean():.3f}" in page.sections["risk-coverage"]
    accepted = scores >= pricer.bundle.manifest.rule.score_threshold
    assert f"answers {100 * accepted.mean():.1f} %" in page.sections["risk-coverage"]
    assert f"a mean error of {errors[accepted].mean():.3f}" in page.sections["risk-coverage"]

    epsilon = pricer.bundle.manifest.confidence.epsilon
    assert f"within a factor of {np.exp(epsilon):.2f} of" in page.sections["reliability"]
    curve = reliability(confidences, errors <= epsilon)  # all photos are sound
    assert f"off by {100 * curve.error:.1f} points (ECE)" in page.sections["reliability"]


def test_the_ranges_are_drawn_by_category(unseen_page: str, unseen: Evaluation, read: Any) -> None:
    page, interval = read(unseen_page), unseen.metrics.interval
    assert interval.coverage is not None
    assert f"holds that of {100 * interval.coverage:.1f} %" in page.sections["ranges"]
    assert "Made to hold the sold price of 80.0 %" in page.sections["ranges"]
    (uri,) = page.images["ranges"]
    svg = base64.b64decode(uri.partition(",")[2]).decode()
    assert f"all ({interval.count})" in svg
    assert list(interval.by_category) == ["Home"]
    assert f"Home ({interval.by_category['Home'].count})" in svg


def test_an_oracle_is_drawn_and_the_regret_told(
    made: Callable[..., str],
    pricer: Pricer,
    unseen_market: Any,
    tmp_path: Path,
    read: Any,
    rewritten: Any,
) -> None:
    def remember(number: int, row: dict[str, str]) -> None:
        truths.append((row["listing_id"], float(row["price"]) * 1.02, 0.1 + number / 1000, "", 0))

    truths: list[tuple[str, float, float, str, int]] = []
    folder = rewritten(unseen_market.folder, tmp_path / "d", remember)
    with (folder / "oracle.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("listing_id", "oracle_price", "noise_sigma", "photo_fault", "irrational"))
        writer.writerows(truths)
    male = evaluate(pricer, read_dataset(folder)).metrics.accepted_only.male
    assert male is not None
    page = read(made(folder))

    # the oracle is always a factor of 1.02 off
    assert f"is {male - np.log(1.02):.3f} above" in page.sections["risk-coverage"]
    assert ["MALE of the oracle on the listings answered", "0.020"] in page.rows
    (uri,) = page.images["risk-coverage"]
    assert ">oracle<" in base64.b64decode(uri.partition(",")[2]).decode()


def test_it_needs_nothing_else_and_is_the_same_each_time(
    unseen_page: str, made: Callable[..., str], unseen_market: Any, read: Any
) -> None:
    page = read(unseen_page)

    for tag, attrs in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "base")
        assert all(not name.startswith("on") for name in attrs)
        assert (attrs.get("src") or "data:").startswith("data:")
        assert (attrs.get("href") or "#").startswith("#")
    assert "url(" not in unseen_page
    policy = next(attrs for tag, attrs in page.tags if "http-equiv" in attrs)
    assert "default-src 'none'" in (policy["content"] or "")
    assert made(unseen_market.folder) == unseen_page
    assert len(unseen_page) < 3e6


def test_figures_are_images_of_their_own(unseen_page: str, read: Any) -> None:
    page = read(unseen_page)

    drawn = [uri for uri in page.images[""] if uri.startswith("data:image/svg+xml;base64,")]
    assert len(drawn) == 5
    words = ("price in GBP", "logarithmic scale", "as it is set", "confidence = truth", "nominal")
    for uri, word in zip(drawn, words, strict=True):
        svg = base64.b64decode(uri.partition(",")[2]).decode()
        assert ET.fromstring(svg).tag.endswith("}svg")  # noqa: S314 - drawn here
        assert "<metadata" not in svg
        assert not re.search(r'href="(?!#)', svg)
        assert word in svg
