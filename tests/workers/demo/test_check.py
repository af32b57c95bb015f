from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from schemas.errors import EventError
from schemas.suggestion import ReuploadReason
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
    """A good run: one sale, three listings, and the five planted records where they belong."""
    logs.sale("old", 1000, at=0)
    logs.dead("transactions", logs.raw("transactions", b"{", {"planted": b"not-json"}, 1))
    listings = [logs.listing(name, at=2) for name in ("one", "two", "three")]
    for listing in listings:
        logs.enriched(listing, right, at=2)
    logs.price(listings[0], right, 900)
    logs.price(listings[1], right, 900)
    logs.reupload(listings[2])
    for name in (b"wrong-schema", b"no-headers"):
        bad = logs.raw("listing.created", b"[]", {"planted": name}, 2)
        logs.dead("listing.created", bad)
    logs.planted("missing-photo", right, ReuploadReason.UNAVAILABLE)
    logs.planted("broken-photo", right, ReuploadReason.UNREADABLE)
    return listings


def test_a_good_run_has_no_problem(logs: Logs, three: list[ListingCreated]) -> None:
    verdict = check(logs.topics)

    assert verdict.problems == ()
    assert (verdict.listings, verdict.transactions) == (7, 2)
    assert (verdict.suggested, verdict.reuploaded, verdict.dead_lettered) == (2, 3, 3)
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert (verdict.statistics_checked, verdict.statistics_wrong) == (5, 0)


@pytest.mark.parametrize(
    ("topic", "what"),
    [
        ("price.suggested", "listing one"),
        ("reupload.requested", "listing three"),
        ("listing.created.dead-letter", "record of listing.created at 3"),
        ("transactions.dead-letter", "record of transactions at 1"),
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


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        *product(
            ("price.suggested", "reupload.requested", "listing.enriched"),
            ("listing_id", "seller_id", "category"),
        ),
        *product(("price.suggested", "listing.enriched"), ("currency",)),
    ],
)
def test_a_body_that_is_not_of_its_listing_is_found(
    logs: Logs, three: list[ListingCreated], topic: str, name: str
) -> None:
    logs.rewrite(topic, f'"{name}":"', f'"{name}":"other ')

    verdict = check(logs.topics)

    assert (verdict.lost, verdict.doubled) == (0, 0)
    told = [problem for problem in verdict.problems if problem.startswith(f"{topic} of listing")]
    assert told
    assert all(name in problem for problem in told)


def test_a_suggestion_with_other_statistics_than_its_listing_is_found(
    logs: Logs, three: list[ListingCreated]
) -> None:
    logs.rewrite("price.suggested", '"count":1', '"count":2')

    assert check(logs.topics).problems == (
        "price.suggested of listing one differs in statistics",
        "price.suggested of listing two differs in statistics",
    )


def test_two_answers_with_their_bodies_exchanged_are_found(
    logs: Logs, three: list[ListingCreated]
) -> None:
    first, second = logs.topics["price.suggested"]
    logs.topics["price.suggested"] = [
        replace(first, value=second.value),
        replace(second, value=first.value),
    ]

    assert check(logs.topics).problems == (
        "price.suggested of listing one differs in listing_id",
        "price.suggested of listing two differs in listing_id",
    )


@pytest.mark.parametrize("wrong", ['"low_minor":901', '"low_minor":0', '"low_minor":null'])
def test_a_price_outside_its_range_is_found(
    logs: Logs, three: list[ListingCreated], wrong: str
) -> None:
    logs.rewrite("price.suggested", '"low_minor":450', wrong)

    problems = check(logs.topics).problems

    assert len(problems) == 2
    assert "listing one: low, price and high are" in problems[0]


def test_a_price_above_its_range_is_found(logs: Logs, three: list[ListingCreated]) -> None:
    logs.rewrite("price.suggested", '"high_minor":1800', '"high_minor":899')

    assert "listing two: low, price and high are [450, 900, 899]" in check(logs.topics).problems


@pytest.mark.parametrize("name", ["missing-photo", "broken-photo"])
def test_a_planted_photo_that_gets_another_reason_is_found(
    logs: Logs, three: list[ListingCreated], name: str
) -> None:
    logs.rewrite("reupload.requested", '"unavailable"', '"swapped"')
    logs.rewrite("reupload.requested", '"unreadable"', '"unavailable"')
    logs.rewrite("reupload.requested", '"swapped"', '"unreadable"')

    assert any(f"planted record {name} should" in each for each in check(logs.topics).problems)


def test_a_planted_photo_that_gets_a_price_is_found(
    logs: Logs, three: list[ListingCreated], right: dict[str, Any]
) -> None:
    logs.topics["reupload.requested"].pop()
    logs.price(three[0].model_copy(update={"listing_id": "planted-broken-photo"}), right, 900)

    assert check(logs.topics).problems == (
        "the planted record broken-photo should be in reupload.requested with the reason "
        "unreadable, and has there: nothing",
    )


def test_a_planted_record_that_is_set_aside_for_another_reason_is_found(
    logs: Logs, three: list[ListingCreated]
) -> None:
    logs.topics["transactions.dead-letter"].clear()
    logs.dead("transactions", 1, stage="clock")

    assert check(logs.topics).problems == (
        "the planted record not-json should be in transactions.dead-letter with the reason "
        "decode, and has there: clock",
    )


def test_a_run_without_its_planted_records_is_no_proof(
    logs: Logs, three: list[ListingCreated]
) -> None:
    logs.topics["transactions"].pop()
    logs.topics["transactions.dead-letter"].clear()

    assert check(logs.topics).problems == ("the planted record not-json is in no topic",)


@pytest.mark.parametrize("name", ["q1", "q2", "q3", "mean", "count"])
@pytest.mark.parametrize("kind", ["seller", "category", "overall"])
def test_a_wrong_statistic_is_found(
    logs: Logs, three: list[ListingCreated], right: dict[str, Any], kind: str, name: str
) -> None:
    wrong = {**right, kind: {**right[kind], name: right[kind][name] + 1}}
    if name in ("q1", "q2"):  # the contract has the quartiles in order
        wrong[kind] |= {"q2": 1003, "q3": 1003}
    del logs.topics["listing.enriched"][2]
    logs.enriched(three[2], wrong, at=2)

    verdict = check(logs.topics)

    assert (verdict.statistics_checked, verdict.statistics_wrong) == (5, 1)
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert any("listing three" in problem for problem in verdict.problems)


@pytest.mark.parametrize("topic", ["listing.created", "listing.enriched"])
def test_a_good_listing_that_is_set_aside_is_lost(
    logs: Logs, three: list[ListingCreated], topic: str
) -> None:
    logs.topics["price.suggested"].pop(0)
    logs.dead(topic, 0)

    verdict = check(logs.topics)

    assert (verdict.lost, verdict.doubled, verdict.dead_lettered) == (1, 1, 4)
    assert "listing one has no answer" in verdict.problems
    assert f"record of {topic} at 0: 1 x dead letter, 0 expected" in verdict.problems


def test_a_suggest_worker_that_sets_all_aside_is_found(
    logs: Logs, three: list[ListingCreated]
) -> None:
    logs.topics["price.suggested"].clear()
    logs.topics["reupload.requested"].clear()
    for offset in range(5):
        logs.dead("listing.enriched", offset)

    verdict = check(logs.topics)

    assert (verdict.lost, verdict.doubled) == (5, 5)
    assert "and 2 more such" in verdict.problems


def test_a_good_sale_that_is_set_aside_is_found(logs: Logs, three: list[ListingCreated]) -> None:
    logs.dead("transactions", 0)

    verdict = check(logs.topics)

    assert (verdict.lost, verdict.doubled) == (0, 1)
    assert verdict.problems == ("record of transactions at 0: 1 x dead letter, 0 expected",)


def test_a_dead_letter_that_names_another_topic_is_found(
    logs: Logs, three: list[ListingCreated]
) -> None:
    entry = logs.topics["transactions.dead-letter"][0]
    headers = {**entry.headers, "dead_letter_topic": b"listing.created"}
    logs.topics["transactions.dead-letter"][0] = replace(entry, headers=headers)

    assert check(logs.topics).problems == (
        "a dead letter of transactions says that it is of listing.created",
    )


def test_a_sale_that_contradicts_another_is_told(logs: Logs, three: list[ListingCreated]) -> None:
    offset = logs.sale("old", 1001, at=3)
    logs.dead("transactions", offset, stage="conflict")

    assert check(logs.topics).problems == (
        f"record of transactions at {offset}: 1 x dead letter, 0 expected",
        f"record of transactions at {offset} is bad by the recount, and was not planted",
    )


def test_when_no_record_can_be_decoded_by_anybody_all_are_missed(
    logs: Logs, three: list[ListingCreated], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise EventError("wrong")

    monkeypatch.setattr("workers.demo.recount.decode", refuse)
    for topic in ("listing.enriched", "price.suggested", "reupload.requested"):
        logs.topics[topic].clear()
    logs.dead("transactions", 0)
    for offset in (0, 1, 2, 5, 6):
        logs.dead("listing.created", offset)

    verdict = check(logs.topics)

    assert (verdict.lost, verdict.doubled) == (5, 6)
    assert "record of listing.created at 0 is bad by the recount, and was not planted" in (
        verdict.problems
    )


def test_photos_that_cannot_be_had_are_found(
    logs: Logs, three: list[ListingCreated], right: dict[str, Any]
) -> None:
    listing = logs.listing("gone", at=2)
    logs.enriched(listing, right, at=2)
    logs.reupload(listing, code=ReuploadReason.UNAVAILABLE)

    assert check(logs.topics).problems == ("a photo of listing gone was unavailable",)


@pytest.mark.parametrize(("more", "problems"), [(2, 0), (3, 1)])
def test_many_answers_and_no_price_are_a_problem(
    logs: Logs, three: list[ListingCreated], right: dict[str, Any], more: int, problems: int
) -> None:
    logs.topics["price.suggested"].clear()
    for listing in three[:2]:
        logs.reupload(listing)
    for number in range(more):
        listing = logs.listing(f"more-{number}", at=2)
        logs.enriched(listing, right, at=2)
        logs.reupload(listing)

    found = check(logs.topics).problems

    assert found == ("6 listings were answered, and none with a price",)[:problems]
