"""The figures: what they show is in their text, and odd numbers do not break them."""

import base64
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from models.evaluation.metrics import ConfidenceBin
from models.evaluation.range_coverage import Share
from models.evaluation.risk_coverage import risk_coverage
from models.report.figures import (
    draw_prices,
    draw_range_coverage,
    draw_reliability,
    draw_risk_coverage,
)

RNG = np.random.default_rng(5)


def texts(uri: str) -> list[str]:
    """All texts of an SVG image in a `data:` URI."""
    kind, _, content = uri.partition(",")
    assert kind == "data:image/svg+xml;base64"
    root = ET.fromstring(base64.b64decode(content))  # noqa: S314 - drawn here
    return ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (np.exp(RNG.normal(3, 2, 500)), np.exp(RNG.normal(3, 1, 400))),
        (np.full(40, 7.0), np.full(40, 7.0)),
        (np.array([0.01, 5.0, 1e9]), np.array([5.0])),
    ],
)
def test_prices_are_drawn_as_they_are_and_in_logarithm(
    before: np.ndarray, after: np.ndarray
) -> None:
    plain, logarithmic = draw_prices(before, after, "KWD")

    assert "price in KWD" in texts(plain)
    assert "price in KWD, logarithmic scale" in texts(logarithmic)
    for uri in (plain, logarithmic):
        assert {"before cleaning", "after cleaning", "listings"} <= set(texts(uri))


def test_a_large_price_on_an_axis_has_separators() -> None:
    prices = np.linspace(10, 400_000, 300)
    plain, logarithmic = draw_prices(prices, prices, "JPY")

    assert "200,000" in texts(plain)
    assert "100,000" in texts(logarithmic)


def test_the_operating_point_and_the_oracle_are_named_where_they_are() -> None:
    errors, scores = RNG.random(100), RNG.random(100)
    curve = risk_coverage(errors, scores)
    oracle = risk_coverage(errors / 2, scores)

    bare = texts(draw_risk_coverage(curve, None, None))
    full = texts(draw_risk_coverage(curve, (0.5, 0.3), oracle))

    assert "as it is set" not in bare
    assert "oracle" not in bare
    assert {"as it is set", "oracle", "this bundle", "all answered"} <= set(full)
    assert draw_risk_coverage(risk_coverage([0.5], [1.0]), (1.0, 0.5), None)


def test_reliability_says_what_comes_true() -> None:
    bins = [
        ConfidenceBin(confidence=0.2, frequency=0.0, count=10),
        ConfidenceBin(confidence=0.7, frequency=0.8, count=30),
    ]

    assert "share within a factor of 1.65" in texts(
        draw_reliability(bins, "share within a factor of 1.65")
    )


@pytest.mark.filterwarnings("error")
def test_names_of_categories_are_never_markup_nor_mathematics() -> None:
    names = ["$\\frac{", "<script>&amp;", "衣類 > 靴", "x" * 80 + "end"]
    shares = [
        (name, Share(count=count, coverage=true, coverage_low=low, coverage_high=1.0))
        for name, count, true, low in zip(
            names, (5, 1000, 7, 9), (0.0, 1.0, 0.8, 0.75), (0.0, 0.99, 0.5, 0.6), strict=True
        )
    ]

    found = texts(draw_range_coverage(shares, 0.8))

    assert {"$\\frac{ (5)", "<script>&amp; (1,000)", "衣類 > 靴 (7)"} <= set(found)
    assert "…" + "x" * 22 + "end (9)" in found
    assert {"nominal", "true"} <= set(found)


def test_the_same_numbers_give_the_same_bytes() -> None:
    curve = risk_coverage(RNG.random(50), RNG.random(50))

    assert draw_risk_coverage(curve, (0.5, 0.3), None) == draw_risk_coverage(
        curve, (0.5, 0.3), None
    )
