from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from workers.demo.check import check

if TYPE_CHECKING:
    from schemas.listing import ListingCreated
    from tests.workers.demo.conftest import Logs


@pytest.fixture
def right(scope: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What a listing should see after one sale at 1,000 of its seller."""
    # 1,000 lies in a bucket of four, 1,000 to 1,003
    numbers = (1002, 1002, 1002, 1000, 1)
    return {
        "currency": "GBP",
        "seller": scope("seller", *numbers),
        "category": scope("category", *numbers),
        "overall": scope("global", *numbers),
    }


@pytest.fixture
def three(logs: Logs, right: dict[str, Any]) -> list[ListingCreated]:
    """A good run: one sale, three listings, a bad one of each kind set aside."""
    logs.sale("old", 1000, at=0)
    logs.dead("transactions", logs.raw("transactions", b"{", {}, 1))
    listings = [logs.listing(name, at=2) for name in ("one", "two", "three")]
    logs.dead("listing.created", logs.raw("listing.created", b"[]", {}, 3))
    for listing in listings:
        logs.enriched(listing, right, at=2)
    logs.price(listings[0], right, 900)
    logs.price(listings[1], right, 900)
    logs.reupload(listings[2])
    return listings


def test_a_good_run_has_no_problem(logs: Logs, three: list[ListingCreated]) -> None:
    verdict = check(logs.topics)

    assert verdict.problems == ()
    assert (verdict.listings, verdict.transactions) == (4, 2)
    assert (verdict.suggested, verdict.reuploaded, verdict.dead_lettered) == (2, 1, 2)
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert (verdict.statistics_checked, verdict.statistics_wrong) == (3, 0)


@pytest.mark.parametrize(
    ("topic", "what"),
    [
        ("price.suggested", "listing one"),
        ("reupload.requested", "listing three"),
        ("listing.created.dead-letter", "bad listing at 3"),
        ("transactions.dead-letter", "bad sale at 1"),
    ],
)
def test_what_is_lost_is_found(
    logs: Logs, three: list[ListingCreated], topic: str, what: str
) -> None:
    del logs.topics[topic][0]

    verdict = check(logs.topics)

    assert (verdict.lost, verdict.doubled) == (1, 0)
    assert [problem for problem in verdict.problems if what in problem]


@pytest.mark.parametrize(
    "topic",
    [
        "price.suggested",
        "reupload.requested",
        "listing.created.dead-letter",
        "transactions.dead-letter",
    ],
)
def test_what_is_there_twice_is_found(logs: Logs, three: list[ListingCreated], topic: str) -> None:
    logs.topics[topic].append(logs.topics[topic][0])

    verdict = check(logs.topics)

    assert (verdict.lost, verdict.doubled) == (0, 1)
    assert len(verdict.problems) == 1


def test_a_price_and_a_request_for_the_same_listing_are_one_too_many(
    logs: Logs, three: list[ListingCreated]
) -> None:
    logs.reupload(three[0])

    verdict = check(logs.topics)

    assert verdict.doubled == 1
    assert any("listing one: 2 x answer" in problem for problem in verdict.problems)


def test_an_answer_to_no_listing_is_found(
    logs: Logs, three: list[ListingCreated], right: dict[str, Any]
) -> None:
    logs.price(three[0].model_copy(update={"listing_id": "stray"}), right, 900)

    assert check(logs.topics).doubled == 1


def test_one_lost_and_another_doubled_do_not_cancel_out(
    logs: Logs, three: list[ListingCreated]
) -> None:
    log = logs.topics["price.suggested"]
    log[0] = log[1]

    verdict = check(logs.topics)

    assert (verdict.lost, verdict.doubled) == (1, 1)


@pytest.mark.parametrize("name", ["q1", "q2", "q3", "mean", "count"])
@pytest.mark.parametrize("kind", ["seller", "category", "overall"])
def test_a_wrong_statistic_is_found(
    logs: Logs, three: list[ListingCreated], right: dict[str, Any], kind: str, name: str
) -> None:
    wrong = {**right, kind: {**right[kind], name: right[kind][name] + 1}}
    if name in ("q1", "q2"):  # the contract has the quartiles in order
        wrong[kind] |= {"q2": 1003, "q3": 1003}
    logs.topics["listing.enriched"].pop()
    logs.enriched(three[2], wrong, at=2)

    verdict = check(logs.topics)

    assert (verdict.statistics_checked, verdict.statistics_wrong) == (3, 1)
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert any("listing three" in problem for problem in verdict.problems)


def test_a_listing_that_the_model_refuses_is_answered_by_its_dead_letter(
    logs: Logs, three: list[ListingCreated]
) -> None:
    logs.topics["price.suggested"].pop(0)
    logs.dead("listing.enriched", 0)

    verdict = check(logs.topics)

    assert (verdict.lost, verdict.doubled, verdict.problems) == (0, 0, ())
    assert verdict.dead_lettered == 3


def test_a_good_listing_set_aside_by_the_stats_worker_is_lost(
    logs: Logs, three: list[ListingCreated]
) -> None:
    logs.topics["price.suggested"].pop(0)
    logs.dead("listing.created", 0)

    verdict = check(logs.topics)

    assert (verdict.lost, verdict.doubled) == (1, 1)
