from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from workers.demo.recount import bucket_middle, recount

if TYPE_CHECKING:
    from tests.workers.demo.conftest import Logs

Scope = Callable[..., dict[str, Any]]
NOTHING = {"q1": 0, "q2": 0, "q3": 0, "mean": 0, "count": 0, "source": "none"}


def statistics_of(logs: Logs) -> dict[str, dict[str, Any]]:
    return recount(logs.topics["transactions"], logs.topics["listing.created"]).statistics


@pytest.mark.parametrize(
    ("price", "middle"),
    [
        (1, 1),
        (255, 255),
        (256, 257),  # the first bucket that is two wide holds 256 and 257
        (257, 257),
        (258, 259),
        (511, 511),
        (512, 514),  # four wide: 512 to 515
        (515, 514),
        (1023, 1022),
        (1024, 1028),  # eight wide
        (100_000, 100_096),  # 2**16 holds it; 512 wide: 99,840 to 100,351
        (10**15, 2**49 + ((10**15 - 2**49) // 2**42) * 2**42 + 2**41),
    ],
)
def test_a_price_is_stood_for_by_the_middle_of_its_bucket(price: int, middle: int) -> None:
    assert bucket_middle(price) == middle


def test_quartiles_are_nearest_rank_and_the_mean_is_rounded_half_up(
    logs: Logs, scope: Scope
) -> None:
    for number, price in enumerate((40, 10, 30, 21, 50)):
        logs.sale(f"sold-{number}", price, at=number)
    logs.listing("new", at=10)

    # sorted 10 21 30 40 50: ranks ceil(5/4)=2, ceil(10/4)=3, ceil(15/4)=4; mean 151/5 = 30.2
    numbers = (21, 30, 40, 30, 5)
    assert statistics_of(logs)["new"] == {
        "currency": "GBP",
        "seller": scope("seller", *numbers),
        "category": scope("category", *numbers),
        "overall": scope("global", *numbers),
    }


def test_a_mean_of_a_half_goes_up(logs: Logs) -> None:
    logs.sale("a", 10, at=0)
    logs.sale("b", 11, at=0)
    logs.listing("new", at=1)

    assert statistics_of(logs)["new"]["overall"]["mean"] == 11


def test_scopes_are_told_apart_and_fall_back(logs: Logs, scope: Scope) -> None:
    logs.sale("a", 10, at=0, seller="one", category="Toys")
    logs.sale("b", 20, at=0, seller="two", category="Toys")
    logs.sale("c", 90, at=0, seller="two", category="Books")
    logs.sale("d", 70, at=0, seller="one", category="Toys", currency="EUR")
    logs.listing("known", at=1, seller="one", category="Toys")
    logs.listing("new-seller", at=1, seller="three", category="Toys")
    logs.listing("all-new", at=1, seller="three", category="Games")
    logs.listing("yen", at=1, seller="one", category="Toys", currency="JPY")

    found = statistics_of(logs)
    overall = scope("global", 10, 20, 90, 40, 3)
    toys = scope("category", 10, 10, 20, 15, 2)
    assert found["known"] == {
        "currency": "GBP",
        "seller": scope("seller", 10, 10, 10, 10, 1),
        "category": toys,
        "overall": overall,
    }
    assert found["new-seller"]["seller"] == {**toys, "count": 0}
    assert found["all-new"]["seller"] == found["all-new"]["category"] == {**overall, "count": 0}
    assert found["yen"] == {
        "currency": "JPY",
        "seller": NOTHING,
        "category": NOTHING,
        "overall": NOTHING,
    }


def test_a_listing_sees_what_was_sold_before_it_and_at_one_moment_goes_first(logs: Logs) -> None:
    logs.sale("a", 10, at=1)
    logs.sale("b", 20, at=2)
    logs.sale("c", 30, at=3)
    for at in (0, 1, 2.5, 3, 9):
        logs.listing(f"at-{at}", at=at)

    counts = {name: each["overall"]["count"] for name, each in statistics_of(logs).items()}

    assert counts == {"at-0": 0, "at-1": 0, "at-2.5": 2, "at-3": 2, "at-9": 3}


def test_a_late_sale_counts_from_its_place_in_the_log(logs: Logs) -> None:
    logs.sale("a", 10, at=5)
    logs.sale("late", 20, at=1)
    logs.listing("before", at=4)
    logs.listing("after", at=6)

    counts = {name: each["overall"]["count"] for name, each in statistics_of(logs).items()}

    assert counts == {"before": 0, "after": 2}


def test_a_duplicate_counts_once_and_a_reversal_takes_back(logs: Logs) -> None:
    logs.sale("a", 10, at=1)
    logs.sale("a", 10, at=2)
    logs.listing("one", at=3)
    logs.reversal("a", at=4)
    logs.listing("none", at=5)
    logs.sale("a", 10, at=6)
    logs.reversal("a", at=7)
    logs.listing("still-none", at=8)

    counts = {name: each["overall"]["count"] for name, each in statistics_of(logs).items()}

    assert counts == {"one": 1, "none": 0, "still-none": 0}


def test_a_reversal_before_its_sale_keeps_it_from_counting(logs: Logs) -> None:
    logs.reversal("a", at=1)
    logs.sale("a", 10, at=2)
    logs.sale("a", 77, at=2, transaction="other")
    logs.listing("new", at=3)

    assert statistics_of(logs)["new"]["overall"]["mean"] == 77
    assert statistics_of(logs)["new"]["overall"]["count"] == 1


def test_a_sale_that_contradicts_an_earlier_one_is_bad(logs: Logs) -> None:
    logs.sale("a", 10, at=1)
    bad = logs.sale("a", 11, at=2)
    logs.listing("new", at=3)

    found = recount(logs.topics["transactions"], logs.topics["listing.created"])

    assert found.bad_transactions == {bad}
    assert found.statistics["new"]["overall"]["mean"] == 10


def test_own_sales_are_left_out(logs: Logs, scope: Scope) -> None:
    logs.sale("mine", 500, at=1, seller="one", category="Toys")
    logs.sale("mine", 600, at=1, seller="one", category="Books", transaction="second")
    logs.sale("other", 20, at=1, seller="one", category="Toys")
    logs.listing("mine", at=2, seller="one", category="Toys")
    logs.listing("third", at=3, seller="one", category="Toys")

    found = statistics_of(logs)

    assert found["mine"]["overall"] == scope("global", 20, 20, 20, 20, 1)
    assert found["mine"]["category"] == scope("category", 20, 20, 20, 20, 1)
    assert found["third"]["overall"]["count"] == 3
    assert found["third"]["category"]["count"] == 2


def test_what_cannot_be_read_is_named_by_its_offset(logs: Logs) -> None:
    logs.sale("a", 10, at=1)
    sale = logs.raw("transactions", b"{", {}, 2)
    listing = logs.raw("listing.created", b"{}", {"ce_id": b"x"}, 2)
    logs.listing("good", at=3)

    found = recount(logs.topics["transactions"], logs.topics["listing.created"])

    assert found.bad_transactions == {sale}
    assert found.bad_listings == {listing}
    assert found.statistics.keys() == {"good"}
