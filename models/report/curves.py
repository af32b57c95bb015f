"""The sections with figures: prices, what refusing gains, what confidence and ranges are worth."""

import numpy as np

from models.bundle.manifest import Manifest
from models.report.cards import money
from models.report.figures import (
    draw_prices,
)
from models.report.section import Picture, Section, percent
from models.report.subject import Subject
from schemas.money import minor_unit_digits

# Below it a curve is the noise of single listings, and a histogram a comb.
MIN_LISTINGS = 30


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
        lead=f"Of {len(prices):,} prices {len(prices) - len(rational):,} "
        f"({percent(1 - len(rational) / len(prices))}) lie outside "
        f"{money(limits.low_minor, currency)} to {money(limits.high_minor, currency)}, the limits "
        "of training, and are not measured. Prices have a long tail; their logarithm, which the "
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


def _too_few(count: int, what: str) -> str:
    return (
        f"There are {count:,} {what} to go by: too few to draw, a picture starts at {MIN_LISTINGS}."
    )
