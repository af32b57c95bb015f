from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from models.dataset.cleaning import PriceLimits
from schemas.suggestion import PriceSuggested
from workers.demo.outcomes import figures, outcomes, reasons

if TYPE_CHECKING:
    from tests.workers.demo.conftest import Logs

LIMITS = PriceLimits(100, 100_000)


@pytest.fixture
def statistics(scope: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    each = scope("global", 10, 10, 10, 10, 1)
    return {"currency": "GBP", "seller": each, "category": each, "overall": each}


def test_a_listing_is_put_beside_its_answer_and_its_sale(
    logs: Logs, statistics: dict[str, Any]
) -> None:
    for name in ("sold", "unsold", "refunded"):
        logs.price(logs.listing(name, at=1), statistics, 1000)
    logs.reupload(logs.listing("dark", at=2))
    logs.listing("unanswered", at=2)
    logs.raw("listing.created", b"{", {"ce_id": b"broken"}, 3)
    logs.sale("sold", 800, at=3)
    logs.sale("sold", 800, at=3)
    logs.sale("dark", 300, at=3)
    logs.sale("refunded", 500, at=3)
    logs.reversal("refunded", at=4)
    logs.raw("transactions", b"", {}, 5)

    found = outcomes(logs.topics)

    assert [(item.listing.listing_id, item.sold_minor) for item in found] == [
        ("sold", 800),
        ("unsold", None),
        ("refunded", None),
        ("dark", 300),
    ]
    assert [isinstance(item.answer, PriceSuggested) for item in found] == [True, True, True, False]
    assert reasons(found) == {"too_dark": 1}


def test_the_figures_are_over_what_was_priced_and_sold_for_a_rational_price(
    logs: Logs, statistics: dict[str, Any]
) -> None:
    # suggested at 1,000, ranges from 500 to 2,000
    for name, price in (("a", 1000), ("b", 1200), ("c", 4000), ("junk", 1), ("dark", 700)):
        listing = logs.listing(name, at=1)
        if name == "dark":
            logs.reupload(listing)
        else:
            logs.price(listing, statistics, 1000)
        logs.sale(name, price, at=2)
    errors = [0.0, math.log(1000 / 1200), math.log(1000 / 4000)]
    logged = [math.log(price) for price in (1000, 1200, 4000)]
    mean = sum(logged) / 3

    found = figures(outcomes(logs.topics), LIMITS)

    assert found.scored == 3
    assert found.coverage == pytest.approx(4 / 5)
    assert found.male == pytest.approx(sum(map(abs, errors)) / 3)
    assert found.within_20 == pytest.approx(2 / 3)  # 1000 is 17 % below 1200
    assert found.within_range == pytest.approx(2 / 3)
    assert found.r2 == pytest.approx(
        1 - sum(e**2 for e in errors) / sum((y - mean) ** 2 for y in logged)
    )
    assert found.rounded()["male"] == round(sum(map(abs, errors)) / 3, 4)


def test_without_sales_there_are_no_errors(logs: Logs, statistics: dict[str, Any]) -> None:
    logs.price(logs.listing("a", at=1), statistics, 1000)

    found = figures(outcomes(logs.topics), LIMITS)

    assert (found.coverage, found.scored, found.male, found.within_20) == (1.0, 0, None, None)


def test_nothing_at_all_is_no_error() -> None:
    assert figures([], LIMITS).coverage == 0.0
