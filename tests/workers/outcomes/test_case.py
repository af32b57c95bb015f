"""What the facts about a listing come to, whatever their order."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.examples.example import Decision, Outcome
from workers.outcomes import facts
from workers.outcomes.case import Case
from workers.outcomes.facts import Answered, Censored, Fact, Listed, Sold, TakenBack

if TYPE_CHECKING:
    from tests.workers.outcomes.conftest import Story

START = datetime(2026, 1, 1, tzinfo=UTC)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def priced(price: int = 1000, *, version: str = "v1", on: float = 0, control: bool = False) -> Fact:
    return Answered(
        event_id=version,
        at=day(on),
        category="Toys",
        model_version="m1",
        currency="GBP",
        price_minor=price,
        low_minor=price // 2,
        high_minor=price * 2,
        confidence=0.5,
        control=control,
    )


def refused(*, version: str = "v1", on: float = 0) -> Fact:
    return Answered(
        event_id=version, at=day(on), category="Toys", model_version="m1", reasons=("blurred",)
    )


def sold(price: int = 1250, *, name: str = "t1", on: float = 2, currency: str = "GBP") -> Fact:
    return Sold(transaction_id=name, at=day(on), price_minor=price, currency=currency)


def taken_back(refunded: int | None = None, *, name: str = "t1", on: float = 5) -> Fact:
    return TakenBack(transaction_id=name, at=day(on), refunded_minor=refunded)


@pytest.fixture
def listed(story: Story) -> Fact:
    return Listed("v1", START, story.listed(brand="Oakmoor").to_bytes())


def case(*known: Fact) -> Case:
    return Case("s1", "l1", known)


def test_a_sale_is_set_beside_the_price_that_was_suggested(listed: Fact) -> None:
    (scored,) = case(listed, priced(1000), sold(1250)).scores()
    event = scored.event
    assert (event.listing_id, event.seller_id, event.transaction_id) == ("l1", "s1", "t1")
    assert (event.suggested_minor, event.sold_minor, event.currency) == (1000, 1250, "GBP")
    assert event.log_error == pytest.approx(math.log(0.8))
    assert (event.within_20_percent, event.inside_range) == (True, True)  # 250 of 1250 are 20 %
    assert (event.days_to_sale, event.sold_at, event.model_version) == (2.0, day(2), "m1")
    assert event.control is None
    event.to_bytes()

    (scored,) = case(listed, priced(1000), sold(1251)).scores()
    assert scored.event.within_20_percent is False
    (scored,) = case(listed, priced(1000), sold(2001)).scores()
    assert scored.event.inside_range is False


def test_the_example_has_the_listing_the_answer_and_the_outcome(listed: Fact) -> None:
    example = case(listed, priced(1000), sold(1250)).example()
    assert example is not None
    assert (example.listing_id, example.seller_id, example.brand) == ("l1", "s1", "Oakmoor")
    assert example.category == "Toys > Cars"
    assert example.statistics.seller.count == 5
    assert (example.decision, example.suggested_minor) == (Decision.PRICE, 1000)
    assert (example.low_minor, example.high_minor, example.confidence) == (500, 2000, 0.5)
    assert (example.outcome, example.sold_minor) == (Outcome.SOLD, 1250)
    assert (example.transaction_id, example.days_to_sale) == ("t1", 2.0)
    assert (example.revision, example.known_at) == (3, day(2))


def test_nothing_is_told_before_anything_came_of_it(listed: Fact) -> None:
    for known in ([listed], [listed, priced()], [listed, priced(), taken_back()]):
        assert case(*known).example() is None
        assert case(*known).scores() == []


def test_a_sale_without_an_answer_is_an_example_and_no_score(listed: Fact) -> None:
    example = case(listed, sold(1250)).example()
    assert example is not None
    assert (example.decision, example.sold_minor, example.model_version) == ("none", 1250, None)
    assert case(listed, sold()).scores() == []


def test_a_sale_that_precedes_the_answer_is_scored_when_that_is_there(listed: Fact) -> None:
    before = case(listed, sold())
    after = case(listed, sold(), priced())
    assert (len(before.scores()), len(after.scores())) == (0, 1)
    first, second = before.example(), after.example()
    assert first is not None
    assert second is not None
    assert second.revision > first.revision


def test_a_sale_of_a_listing_that_is_not_known_yet_is_scored_and_no_example() -> None:
    assert len(case(priced(), sold()).scores()) == 1
    assert case(priced(), sold()).example() is None


def test_a_request_for_a_better_photo_is_scored_without_a_price(listed: Fact) -> None:
    (scored,) = case(listed, refused(), sold(1250)).scores()
    assert (scored.event.suggested_minor, scored.event.log_error) == (None, None)
    assert (scored.event.within_20_percent, scored.event.inside_range) == (None, None)
    assert scored.event.sold_minor == 1250
    example = case(listed, refused(), sold(1250)).example()
    assert example is not None
    assert (example.decision, example.reasons) == (Decision.REUPLOAD, ("blurred",))


def test_a_control_is_scored_as_one(listed: Fact) -> None:
    known = case(listed, priced(control=True), sold())
    assert [scored.event.control for scored in known.scores()] == [True]
    example = known.example()
    assert example is not None
    assert example.control
    assert example.suggested_minor == 1000


def test_a_refund_changes_the_example_and_not_the_score(listed: Fact) -> None:
    before = case(listed, priced(), sold(1250))
    whole = case(listed, priced(), sold(1250), taken_back())
    part = case(listed, priced(), sold(1250), taken_back(200), taken_back(250, on=6))
    everything = case(listed, priced(), sold(1250), taken_back(1250))
    assert before.scores() == whole.scores() == part.scores() == everything.scores()
    for known in (whole, everything):
        example = known.example()
        assert example is not None
        assert (example.outcome, example.sold_minor) == (Outcome.REVERSED, None)
        assert (example.transaction_id, example.days_to_sale) == ("t1", None)
        assert (example.revision, example.known_at) == (4, day(5))
    example = part.example()
    assert example is not None
    assert (example.outcome, example.sold_minor) == (Outcome.SOLD, 1000)  # so far in all: 250
    assert (example.revision, example.known_at) == (5, day(6))


def test_of_several_sales_the_first_that_stands_counts_and_each_is_scored(listed: Fact) -> None:
    known = [listed, priced(), sold(900, on=2), sold(800, name="t2", on=9), taken_back(on=3)]
    example = case(*known).example()
    assert example is not None
    assert (example.transaction_id, example.sold_minor) == ("t2", 800)
    assert {scored.event.sold_minor for scored in case(*known).scores()} == {800, 900}
    assert len({scored.id for scored in case(*known).scores()}) == 2
    assert [scored.event.sold_minor for scored in case(*known).scores(["t2"])] == [800]


def test_prices_in_another_currency_are_never_compared(listed: Fact) -> None:
    wrong = sold(900, currency="JPY")
    assert case(listed, priced(), wrong).scores() == []
    assert case(listed, priced(), wrong).example() is None
    assert case(listed, priced(), wrong, Censored(day(60), START)).example() is None
    example = case(listed, priced(), wrong, sold(950, name="t2", on=30)).example()
    assert example is not None
    assert example.sold_minor == 950


def test_a_thing_that_is_not_sold_in_time_is_censored_and_a_late_sale_corrects_it(
    listed: Fact,
) -> None:
    censored = case(listed, priced(), Censored(day(60), START)).example()
    assert censored is not None
    assert (censored.outcome, censored.sold_minor) == (Outcome.CENSORED, None)
    assert (censored.revision, censored.known_at) == (3, day(60))
    late = case(listed, priced(), Censored(day(60), START), sold(700, on=70)).example()
    assert late is not None
    assert (late.outcome, late.sold_minor) == (Outcome.SOLD, 700)
    assert late.revision > censored.revision


def test_a_listing_that_was_put_up_again_is_not_censored_for_its_first_days(
    listed: Fact, story: Story
) -> None:
    again = Listed("v2", day(50), story.listed(day=50).to_bytes())
    assert case(listed, again, Censored(day(60), START)).example() is None
    example = case(listed, again, Censored(day(110), day(50))).example()
    assert example is not None
    assert example.listed_at == day(50)


def test_a_sale_belongs_to_the_version_that_was_listed_last_before_it(
    listed: Fact, story: Story
) -> None:
    again = Listed("v2", day(10), story.listed(day=10).to_bytes())
    answers = [priced(1000), priced(600, version="v2", on=10)]
    early = case(listed, again, *answers, sold(on=9))
    late = case(listed, again, *answers, sold(on=11))
    assert [scored.event.suggested_minor for scored in early.scores()] == [1000]
    assert [scored.event.suggested_minor for scored in late.scores()] == [600]
    for known, price, listed_at in ((early, 1000, START), (late, 600, day(10))):
        example = known.example()
        assert example is not None
        assert (example.suggested_minor, example.listed_at) == (price, listed_at)


def test_a_sale_before_its_listing_took_no_time(listed: Fact) -> None:
    (scored,) = case(listed, priced(), sold(on=-1)).scores()
    assert scored.event.days_to_sale == 0.0
    example = case(listed, priced(), sold(on=-1)).example()
    assert example is not None
    assert (example.sold_minor, example.known_at) == (1250, START)


@dataclass
class Told:
    """A history of one listing, and what a plain reading of it comes to."""

    facts: list[Fact] = field(default_factory=list)
    scores: dict[str, tuple[int, int]] = field(default_factory=dict)
    sold: tuple[str, int | None, str | None] | None = None  # outcome, price, transaction


@st.composite
def histories(draw: st.DrawFn) -> Told:
    """A listing of one version, perhaps answered, perhaps sold some times, perhaps taken back."""
    told = Told()
    told.facts.append(Listed("v1", START, b""))
    answer = draw(st.sampled_from([None, 500, 1000]))
    if answer is not None:
        told.facts.append(priced(answer))
    days = draw(st.lists(st.integers(1, 80), max_size=3, unique=True))
    standing: list[tuple[int, str, int]] = []
    gone: list[tuple[int, str]] = []
    for number, on in enumerate(days):
        name, price = f"t{number}", draw(st.integers(1, 3000))
        told.facts.append(sold(price, name=name, on=on))
        if answer is not None:
            told.scores[name] = (answer, price)
        refunds = draw(st.lists(st.integers(1, 3000), max_size=2, unique=True))
        told.facts += [taken_back(refund, name=name, on=on + 1) for refund in refunds]
        whole = draw(st.booleans())
        if whole:
            told.facts.append(taken_back(None, name=name, on=on + 1))
        left = 0 if whole else price - max([0, *refunds])
        if left > 0:
            standing.append((on, name, left))
        else:
            gone.append((on, name))
    if draw(st.booleans()):
        told.facts.append(Censored(day(60), START))
        told.sold = ("censored", None, None)
    if gone:
        told.sold = ("reversed", None, min(gone)[1])
    if standing:
        _, name, left = min(standing)
        told.sold = ("sold", left, name)
    return told


@given(told=histories(), seed=st.integers(0, 2**32))
def test_any_order_and_repetition_of_the_facts_comes_to_what_a_plain_reading_says(
    story: Story, told: Told, seed: int
) -> None:
    body = story.listed().to_bytes()
    known = [Listed("v1", START, body) if isinstance(f, Listed) else f for f in told.facts]
    dice = random.Random(seed)
    arrived: Sequence[Fact] = dice.sample(
        known + known[: seed % 3], len(known) + min(seed % 3, len(known))
    )
    table: dict[bytes, bytes] = {}
    for fact in arrived:
        table = facts.joined(table, {fact.key: facts.encode(fact)})
    found = Case("s1", "l1", map(facts.decode, table.values()))

    scores = {s.event.transaction_id: s for s in found.scores()}
    assert {
        name: (s.event.suggested_minor, s.event.sold_minor) for name, s in scores.items()
    } == told.scores
    example = found.example()
    if told.sold is None:
        assert example is None
    else:
        assert example is not None
        assert (example.outcome.value, example.sold_minor, example.transaction_id) == told.sold
        assert example.revision == len({fact.key for fact in known})
        assert example.known_at == max(fact.at for fact in known)
    again = Case("s1", "l1", known)
    assert (again.scores(), again.example()) == (found.scores(), example)


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.binary(max_size=2)), max_size=6))
def test_joining_is_the_same_in_any_order_and_never_loses_a_key(
    pairs: list[tuple[bytes, bytes]],
) -> None:
    forward: dict[bytes, bytes] = {}
    backward: dict[bytes, bytes] = {}
    for key, value in pairs:
        forward = facts.joined(forward, {key: value})
    for key, value in reversed(pairs):
        backward = facts.joined({key: value}, backward)
    assert forward == backward == facts.joined(forward, backward)
    assert set(forward) == {key for key, _ in pairs}
