"""The made market of the simulated year, its planted challengers, and the script."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.year.challengers import BAD, collapsed_gate, leaked_statistics, swapped_currency
from benchmarks.year.model import asked, log_prices
from benchmarks.year.rounds import Round, Shelf
from benchmarks.year.world import BURN_IN, DISHONEST, STATISTICS, World, honest


@pytest.fixture(scope="module")
def world() -> World:
    """Sixteen weeks before the year, and one week of it."""
    return World(3, a_week=100, weeks=1)


@pytest.fixture(scope="module")
def of_week(world: World) -> Round:
    return Round.of_week(Shelf(world), 0, None)


def test_equal_seeds_give_equal_markets_and_others_others(world: World) -> None:
    prices = [thing.price_minor for thing in world.things]
    assert [thing.price_minor for thing in World(3, a_week=100, weeks=1).things] == prices
    assert [thing.price_minor for thing in World(4, a_week=100, weeks=1).things] != prices
    assert len(prices) == 100 * (BURN_IN + 1)


def test_statistics_are_of_what_was_sold_before_and_in_the_window(world: World) -> None:
    """Counted again from the things themselves."""
    for thing in world.things[:: len(world.things) // 15]:
        before = [
            other
            for other in world.things
            if other.sold_at is not None
            and other.sold_at < thing.listed_at
            and other.seller == thing.seller
        ]
        days = {
            (other.sold_at.date() - world.things[0].listed_at.date()).days
            for other in world.things
            if other.sold_at is not None and other.sold_at < thing.listed_at
        }
        start = world.things[0].listed_at.date().toordinal() + max(days, default=0)
        inside = [
            other
            for other in before
            if other.sold_at is not None
            and other.sold_at.date().toordinal() > start - STATISTICS.window_days
        ]
        assert thing.statistics.seller.count == len(inside)


def test_the_dishonest_seller_makes_a_thousand_sales_that_errors_leave_out() -> None:
    world = World(3, a_week=100, weeks=DISHONEST.stop)
    fakes = [thing for thing in world.things if thing.fake]
    assert len(fakes) == 1_000
    assert {(thing.seller, thing.category) for thing in fakes} == {("s250", "c0")}
    assert not set(map(id, fakes)) & set(map(id, honest(world.things)))
    shelf = Shelf(world)
    learnt = [e for e in shelf.window(DISHONEST.stop - 1) if e.seller_id == "s250"]
    assert 0 < len(learnt) < 60  # of 875 in the window


def test_a_round_is_judged_on_what_is_newer_than_all_that_was_learnt(of_week: Round) -> None:
    assert of_week.enough
    assert max(e.listed_at for e in of_week.learnt) <= min(e.listed_at for e in of_week.held)
    assert np.isfinite(log_prices(of_week.held)).all()


def test_planted_challengers_are_as_bad_as_they_say(of_week: Round) -> None:
    sound = BAD["collapsed gate"](of_week, 0, 1)
    everything = asked(sound, of_week.held, of_week.held_features)
    assert everything.qualified.all()
    nothing = asked(collapsed_gate(of_week, 1, 1), of_week.held, of_week.held_features)
    assert not nothing.qualified.any()
    shift = (
        asked(swapped_currency(of_week, 0, 1), of_week.held, of_week.held_features).log_price
        - everything.log_price
    )
    assert np.median(shift) == pytest.approx(np.log(1.3), abs=0.05)
    leaked = asked(leaked_statistics(of_week, 3, 1), of_week.held, of_week.held_features)
    errors = [np.abs(e.log_price - log_prices(of_week.held)).mean() for e in (everything, leaked)]
    assert errors[1] > 1.2 * errors[0]
    assert not of_week.verdict(sound, collapsed_gate(of_week, 2, 1), 1).publish


def test_the_script_says_what_it_found(figures_of: Callable[..., dict[str, Any]]) -> None:
    found = figures_of("simulated_year.py", "--weeks", "2", "--listings-a-week", "100")
    assert found["weeks"] == 2
    assert set(found["male"]) == {"retrained", "never retrained", "fresh oracle", "of the law"}
    assert all(0.05 < male < 1.5 for male in found["male"].values())
    assert found["bad_planted"] == found["good_planted"] == 0  # of later weeks
    retrainings = [name for name in found if name.startswith("retrainings_")]
    assert sum(found[name] for name in retrainings) == 1
