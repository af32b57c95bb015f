"""The sections with figures: prices, what refusing gains, what confidence and ranges are worth."""

from math import exp, log

import numpy as np

from models.bundle.manifest import Manifest
from models.evaluation.metrics import ConfidenceErrors
from models.evaluation.oracle import read_oracle
from models.evaluation.range_coverage import RangeCoverage, Share
from models.evaluation.risk_coverage import RiskCoverage, risk_coverage
from models.report.cards import span
from models.report.figures import (
    draw_prices,
    draw_range_coverage,
    draw_reliability,
    draw_risk_coverage,
)
from models.report.section import Picture, Section, number, percent
from models.report.subject import Subject
from schemas.money import minor_unit_digits

# Below it a curve is the noise of single listings, and a histogram a comb.
MIN_LISTINGS = 30
# Of one category's ranges; with fewer the bar says only that nothing is known.
MIN_OF_CATEGORY = 10
MAX_CATEGORIES = 20


def prices_section(subject: Subject, manifest: Manifest) -> Section:
    """Return Fig. 3: all prices of the dataset in the bundle's currency."""
    title = "Figure 3: prices before and after cleaning"
    currency, limits = manifest.currency, manifest.price_limits
    prices = [
        row.price_minor
        for row in subject.dataset.listings
        if row.price_minor is not None and row.currency == currency
    ]
    above_zero = np.array([price for price in prices if price > 0], dtype=np.float64)
    rational = np.array([price for price in prices if limits.contain(price)], dtype=np.float64)
    if len(rational) < MIN_LISTINGS:
        return Section(anchor="figure-3", title=title, lead=_too_few(len(rational), "prices"))
    unit = 10.0 ** minor_unit_digits(currency)
    plain, logarithmic = draw_prices(above_zero / unit, rational / unit, currency)
    return Section(
        anchor="figure-3",
        title=title,
        lead=f"Of the dataset's {len(prices):,} prices {len(prices) - len(rational):,} "
        f"({percent(1 - len(rational) / len(prices))}) lie outside "
        f"{span(limits.low_minor, limits.high_minor, currency)}, the limits of training, and are "
        "not measured. Prices have a long tail; their logarithm, which the "
        "networks learn, is close to a bell.",
        pictures=[
            Picture(plain, "(a) The price; the dearest 2 % lie to the right of the picture."),
            Picture(
                logarithmic,
                "(b) The price on a logarithmic scale"
                + (f"; {n:,} at zero are not drawn." if (n := prices.count(0)) else "."),
            ),
        ],
    )


def risk_coverage_section(subject: Subject, currency: str) -> Section:
    """Return the risk-coverage curve, with the operating point and the oracle where there is one.

    Raises:
        DatasetError: the dataset has an oracle that cannot be read.
    """
    title = "What refusing gains"
    metrics, measured = subject.metrics, subject.measured
    if len(measured) < MIN_LISTINGS:
        lead = _too_few(len(measured), "listings with a price and a photo")
        return Section(anchor="risk-coverage", title=title, lead=lead)
    lead = (
        "The fewer listings are answered, the surest first, the closer the suggestions are: the "
        "steeper the line falls to the left, the better the bundle knows what it knows."
    )
    male, operating = metrics.accepted_only.male, None
    if male is not None:
        operating = (len(subject.accepted) / len(measured), male)
        lead += (
            f" As it is set, it answers {percent(operating[0])} of the measured listings with a "
            f"mean error of {number(male)}."
        )
    if metrics.oracle is not None:
        lead += (
            " The oracle knows the law of this simulated market, so nobody can lie below it but by "
            f"chance; at the same share the bundle is {number(metrics.oracle.regret_best)} above "
            "it (regret)."
        )
    curve = risk_coverage(np.abs(subject.errors), [item.score for item in measured])
    return Section(
        anchor="risk-coverage",
        title=title,
        lead=lead,
        pictures=[
            Picture(
                draw_risk_coverage(curve, operating, _oracle_curve(subject, currency)),
                f"Risk-coverage curve of {len(measured):,} listings; area under it (AURC) "
                f"{number(metrics.risk_coverage.male_area)}.",
            )
        ],
    )


def _oracle_curve(subject: Subject, currency: str) -> RiskCoverage | None:
    """Return the curve of the oracle's own prices and order, over the listings that it knows."""
    oracle = read_oracle(subject.dataset.folder) or {}
    known = [
        (oracle[item.row.listing_id], item.sold_minor)
        for item in subject.measured
        if item.row.listing_id in oracle and item.sold_minor is not None
    ]
    if not known:
        return None
    unit = 10 ** minor_unit_digits(currency)
    errors = [abs(truth.log_price - log(sold / unit)) for truth, sold in known]
    return risk_coverage(errors, [truth.score for truth, _ in known])


def reliability_section(confidence: ConfidenceErrors) -> Section:
    """Return the reliability curve of the confidence."""
    title = "What the confidence is worth"
    count = sum(one.count for one in confidence.bins)
    if count < MIN_LISTINGS or confidence.error is None:
        lead = _too_few(count, "listings with a price and a sound photo")
        return Section(anchor="reliability", title=title, lead=lead)
    within = f"within a factor of {exp(confidence.epsilon):.2f}"
    return Section(
        anchor="reliability",
        title=title,
        lead=f"A confidence of 70 % promises that 70 of 100 such suggestions lie {within} of the "
        "sold price. On the dashed line the promise is kept; above it the bundle is too modest, "
        f"below it too bold. On average it is off by {100 * confidence.error:.1f} points (ECE).",
        pictures=[
            Picture(
                draw_reliability(confidence.bins, f"share {within}"),
                f"Reliability over {count:,} listings with a sound photo, answered or not; the "
                f"bars show what chance leaves open. ECE {number(confidence.error)}.",
            )
        ],
    )


def ranges_section(interval: RangeCoverage) -> Section:
    """Return how often the ranges hold the sold price, by the widest level of the categories."""
    title = "What the range is worth"
    if interval.count < MIN_LISTINGS or interval.coverage is None:
        lead = _too_few(interval.count, "answered listings with a price")
        return Section(anchor="ranges", title=title, lead=lead)
    shares = sorted(interval.by_category.items(), key=lambda pair: (-pair[1].count, pair[0]))
    whole = Share(
        count=interval.count,
        coverage=interval.coverage,
        coverage_low=interval.coverage_low or 0.0,
        coverage_high=interval.coverage_high or 1.0,
    )
    large = [pair for pair in shares if pair[1].count >= MIN_OF_CATEGORY][:MAX_CATEGORIES]
    rest = len(shares) - len(large)
    return Section(
        anchor="ranges",
        title=title,
        lead=f"Made to hold the sold price of {percent(interval.nominal)} of the answered "
        f"listings, the range holds that of {percent(interval.coverage)}. A category whose bar "
        "does not reach the dashed line has ranges that are too narrow (left of it) or wider than "
        "they need be (right of it).",
        pictures=[
            Picture(
                draw_range_coverage([("all", whole), *large], interval.nominal),
                "True coverage by category, with the number of listings; the bars show what chance "
                f"leaves open. Categories too small to draw: {rest:,}.",
            )
        ],
    )


def _too_few(count: int, what: str) -> str:
    return (
        f"There are {count:,} {what} to go by: too few to draw, a picture starts at {MIN_LISTINGS}."
    )
