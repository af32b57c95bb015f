"""The benchmark of the outcomes worker: its recount, and a short run on a real broker."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.sale import ItemSold, SaleReversed
from schemas.suggestion import PriceSuggested

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))  # benchmarks are programs, not an installed package


def test_the_market_knows_what_has_to_come_of_it() -> None:
    from benchmarks.scoring.market import Market

    market = Market(seed=1)
    answers = {
        event.listing_id: event.price_minor
        for event in market.listings(50)
        if isinstance(event, PriceSuggested)
    }
    left: dict[str, int] = {}
    for event in market.sales(40, taken_back=1.0):
        if isinstance(event, ItemSold):
            left[event.listing_id] = event.price_minor
            assert market.scores[event.transaction_id] == (
                answers[event.listing_id],
                event.price_minor,
            )
        else:
            assert isinstance(event, SaleReversed)
            refunded = event.refunded_minor
            left[event.listing_id] -= left[event.listing_id] if refunded is None else refunded
    assert len(left) == 40
    assert market.examples == {
        name: ("sold", price) if price else ("reversed", None) for name, price in left.items()
    }


def test_an_error_of_a_score_is_the_log_of_suggested_over_sold() -> None:
    from benchmarks.scoring.market import log_error

    assert log_error(2_000, 1_000) == pytest.approx(math.log(2))


def test_a_short_run_loses_and_doubles_nothing() -> None:
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "benchmarks" / "outcomes.py"), "--open", "2000"),
            *("--events", "15000", "--kills", "1", "--rebalances", "1"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["sales"] == 5_000
    assert min(figures["events_per_s"], figures["bare_per_s"], figures["peak_mb"]) > 0
    for name in ("lost", "double", "wrong", "examples_wrong"):
        assert figures[name] == figures[f"struck_{name}"] == 0, figures
