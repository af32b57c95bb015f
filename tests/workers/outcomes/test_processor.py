"""From records to facts, scores and examples, on a table in memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from schemas import cloudevents
from schemas.partitioner import partition_for
from schemas.suggestion import SuggestionScored
from workers.examples.example import Example
from workers.runtime.processing import Output, Record, Rejected

if TYPE_CHECKING:
    from tests.workers.outcomes.conftest import Desk, Story
    from workers.outcomes.processor import Turn

TOPICS = (
    "listing.enriched",
    "price.suggested",
    "reupload.requested",
    "transactions",
    "price.shadow",
)
HOME = partition_for(b"s1", 2)


def scores(turn: Turn) -> dict[str, SuggestionScored]:
    found = {}
    for output in turn.outputs:
        assert isinstance(output, Output), output
        event, envelope = cloudevents.decode(output.headers, output.value, [SuggestionScored])
        assert isinstance(event, SuggestionScored)
        assert output.key == event.seller_id.encode()
        found[envelope.id] = event
    return found


def pass_to(desk: Desk, day: float, story: Story) -> None:
    """Let the time of all inputs of the partition of seller s1 come to a day."""
    for topic in TOPICS:
        desk.processor.stream_time.observe(HOME, topic, story.day(day).timestamp())


def test_a_listing_an_answer_and_a_sale_make_a_score_and_an_example(
    desk: Desk, story: Story
) -> None:
    quiet = desk.process([story.record(story.listed()), story.record(story.priced(1000))])
    assert (quiet.outputs, quiet.examples) == ([], [])
    turn = desk.process([story.record(story.sold(1250))])
    (scored,) = scores(turn).values()
    assert (scored.suggested_minor, scored.sold_minor) == (1000, 1250)
    (example,) = turn.examples
    assert (example.outcome, example.sold_minor, example.revision) == ("sold", 1250, 3)
    (output,) = turn.outputs
    assert isinstance(output, Output)
    headers = dict(output.headers)
    assert headers["ce_source"] == b"/secondsight/outcomes"
    assert headers["ce_subject"] == b"l1"
    assert headers["traceparent"] == b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert (output.topic, output.partition) == ("suggestion.scored", HOME)


def test_what_is_in_the_table_already_is_told_again_under_the_same_ids_and_written_again(
    desk: Desk, story: Story
) -> None:
    records = [story.record(e) for e in (story.listed(), story.priced(), story.sold())]
    first = desk.process(records)
    table = {key: dict(facts) for key, facts in desk.ledger.tables.items()}
    again = desk.process(records)
    assert scores(again) == scores(first)
    assert again.examples == first.examples
    assert desk.ledger.tables == table
    assert {change.key for change in again.changes} >= {change.key for change in first.changes}
    (alone,) = [desk.process([records[2]])]
    assert scores(alone) == scores(first)
    assert alone.examples == first.examples


def test_a_refund_tells_an_example_that_knows_more_and_no_score(desk: Desk, story: Story) -> None:
    desk.process([story.record(e) for e in (story.listed(), story.priced(), story.sold(1250))])
    turn = desk.process([story.record(story.taken_back(250), event_id="r1")])
    assert turn.outputs == []
    assert [(e.revision, e.sold_minor) for e in turn.examples] == [(4, 1000)]


def test_sellers_cannot_touch_each_others_listings(desk: Desk, story: Story) -> None:
    other = next(f"s{n}" for n in range(2, 99) if partition_for(f"s{n}".encode(), 2) == HOME)
    desk.process([story.record(story.listed()), story.record(story.priced())])
    turn = desk.process([story.record(story.sold(1, seller=other))])
    assert (turn.outputs, turn.examples) == ([], [])


def test_of_the_shadow_only_prices_held_back_by_lot_count(desk: Desk, story: Story) -> None:
    shadow = story.record(story.priced(300, model="m2"), topic="price.shadow")
    refusal = story.record(story.refused(model="m2"), topic="price.shadow")
    desk.process([story.record(story.listed()), shadow, refusal])
    assert scores(desk.process([story.record(story.sold())])) == {}
    desk.process([story.record(story.priced(400, control=True))])
    (scored,) = scores(desk.process([story.record(story.sold())])).values()
    assert (scored.suggested_minor, scored.control) == (400, True)


@pytest.mark.parametrize(
    ("spoil", "stage"),
    [
        (lambda record: {"value": b"{}"}, "decode"),
        (lambda record: {"headers": ()}, "decode"),
        (lambda record: {"value": record.value.replace(b"2026-", b"2030-")}, "clock"),
    ],
)
def test_a_record_that_cannot_be_read_is_set_aside_and_the_others_go_on(
    desk: Desk, story: Story, spoil: Callable[[Record], dict[str, Any]], stage: str
) -> None:
    import msgspec

    good = [story.record(e) for e in (story.listed(), story.priced(), story.sold())]
    bad = msgspec.structs.replace(good[2], **spoil(good[2]))
    turn = desk.process([*good[:2], bad, good[2]])
    (rejected,) = [output for output in turn.outputs if isinstance(output, Rejected)]
    assert (rejected.record, rejected.stage) == (bad, stage)
    assert len(turn.outputs) == 2
    assert len(turn.examples) == 1


def test_more_facts_than_can_be_true_of_a_listing_are_set_aside(desk: Desk, story: Story) -> None:
    desk.process([story.record(story.listed()), story.record(story.priced())])
    for number in range(14):  # 16 are allowed
        sale = story.sold(transaction=f"t{number}")
        assert len(scores(desk.process([story.record(sale)]))) == 1
    record = story.record(story.sold(transaction="t14"))
    turn = desk.process([record])
    (rejected,) = turn.outputs
    assert isinstance(rejected, Rejected)
    assert (rejected.record, rejected.stage) == (record, "process")
    assert (turn.changes, turn.examples) == ([], [])
    assert len(scores(desk.process([story.record(story.sold(transaction="t13"))]))) == 1


def test_a_record_in_a_wrong_partition_is_sent_home(desk: Desk, story: Story) -> None:
    record = story.record(story.sold(), partition=1 - HOME)
    turn = desk.process([record])
    (output,) = turn.outputs
    assert isinstance(output, Output)
    assert (output.topic, output.partition, output.value) == ("transactions", HOME, record.value)
    assert turn.changes == []


def test_a_listing_is_censored_when_its_days_are_over_and_then_let_go(
    desk: Desk, story: Story, registry: CollectorRegistry
) -> None:
    desk.process([story.record(e) for e in (story.listed(), story.priced())])
    desk.process([story.record(story.listed("l2", day=30))])
    pass_to(desk, 60.5, story)
    assert desk.due(HOME).examples == []  # its day is not over
    pass_to(desk, 61, story)
    turn = desk.due(HOME)
    assert [(e.listing_id, e.outcome.value, e.revision) for e in turn.examples] == [
        ("l1", "censored", 3)
    ]
    assert turn.examples[0].known_at == story.day(60)
    assert desk.due(HOME).examples == []  # once
    late = desk.process([story.record(story.sold(700, day=75))])
    assert [(e.outcome.value, e.sold_minor, e.revision) for e in late.examples] == [
        ("sold", 700, 4)
    ]
    assert len(scores(late)) == 1
    pass_to(desk, 91, story)
    assert [e.listing_id for e in desk.due(HOME).examples] == ["l2"]
    assert not [key for key in desk.ledger.tables[HOME] if b"l1" in key]
    assert [key for key in desk.ledger.tables[HOME] if b"l2" in key]
    pass_to(desk, 121, story)
    desk.due(HOME)
    assert desk.ledger.tables[HOME] == {}
    assert registry.get_sample_value("secondsight_open_listings", {"partition": str(HOME)}) == 0


def test_a_leap_in_time_censors_what_lies_in_between(desk: Desk, story: Story) -> None:
    desk.process([story.record(story.listed())])
    pass_to(desk, 500, story)
    assert [example.listing_id for example in desk.due(HOME).examples] == ["l1"]
    assert desk.due(HOME).examples == []
    assert desk.ledger.tables[HOME] == {}


def test_a_sold_listing_is_let_go_without_being_censored(desk: Desk, story: Story) -> None:
    desk.process([story.record(e) for e in (story.listed(), story.priced(), story.sold())])
    for day in (61, 91):
        pass_to(desk, day, story)
        assert desk.due(HOME).examples == []
    assert desk.ledger.tables[HOME] == {}


def test_a_crash_between_censoring_and_forgetting_censors_again_alike(
    desk: Desk, story: Story
) -> None:
    desk.process([story.record(story.listed())])
    pass_to(desk, 61, story)
    first = desk.due(HOME, cut_short=True)
    again = desk.due(HOME)
    assert first.examples == again.examples != []
    assert desk.due(HOME).examples == []


def test_a_listing_that_was_put_up_again_is_censored_by_its_last_day(
    desk: Desk, story: Story
) -> None:
    desk.process([story.record(story.listed(), event_id="v1")])
    desk.process([story.record(story.listed(day=40), event_id="v2")])
    pass_to(desk, 61, story)
    assert desk.due(HOME).examples == []
    pass_to(desk, 101, story)
    (example,) = desk.due(HOME).examples
    assert example.listed_at == story.day(40)
    pass_to(desk, 131, story)
    desk.due(HOME)
    assert desk.ledger.tables[HOME] == {}


def test_a_sale_whose_listing_never_comes_is_let_go_and_counted(
    desk: Desk, story: Story, registry: CollectorRegistry
) -> None:
    desk.process([story.record(story.sold(day=2))])
    pass_to(desk, 92, story)
    desk.due(HOME)
    assert desk.ledger.tables[HOME]
    pass_to(desk, 93, story)
    assert desk.due(HOME).examples == []
    assert desk.ledger.tables[HOME] == {}
    assert registry.get_sample_value("secondsight_late_sales_total") == 1


def test_nothing_is_censored_while_an_input_lags_behind(desk: Desk, story: Story) -> None:
    desk.process([story.record(story.listed())])
    for topic in TOPICS[1:]:
        desk.processor.stream_time.observe(HOME, topic, story.day(500).timestamp())
    desk.processor.stream_time.observe(HOME, TOPICS[0], story.day(10).timestamp())
    assert desk.due(HOME).examples == []


def test_a_time_before_1970_is_no_harm(desk: Desk, story: Story) -> None:
    desk.process([story.record(story.listed(day=-40_000))])
    pass_to(desk, 0, story)
    desk.due(HOME)
    assert desk.ledger.tables[HOME] == {}


@given(seed=st.integers(0, 2**32))
def test_records_in_any_order_batches_and_repetitions_come_to_the_same(
    open_desk: Callable[[], Desk], story: Story, seed: int
) -> None:
    dice = random.Random(seed)
    events: list[Any] = []
    for number in range(4):
        listing = f"l{number}"
        events.append(story.listed(listing))
        events.append(
            story.refused(listing=listing)
            if number == 3
            else story.priced(1000 + number, listing=listing, control=number == 2 or None)
        )
        for sale in range(number):
            name = f"{listing}-{sale}"
            events.append(story.sold(900 + sale, listing=listing, transaction=name, day=3 + sale))
        if number:
            events.append(story.taken_back(10, listing=listing, transaction=f"{listing}-0"))
    records = [story.record(event, event_id=_name(event)) for event in events]

    def outcome(order: list[Record], sizes: int) -> tuple[dict[str, Any], dict[str, Example]]:
        desk = open_desk()
        told: dict[str, SuggestionScored] = {}
        last: dict[str, Example] = {}
        while order:
            batch, order = order[:sizes], order[sizes:]
            turn = desk.process(batch)
            told |= scores(turn)
            for example in turn.examples:
                before = last.get(example.listing_id)
                if before is None or example.revision > before.revision:
                    last[example.listing_id] = example
        return told, last

    shuffled = records + dice.sample(records, 5)
    dice.shuffle(shuffled)
    plain = outcome(records, 100)
    assert outcome(shuffled, dice.randint(1, 9)) == plain
    assert len(plain[0]) == 0 + 1 + 2 + 3  # every sale once
    assert set(plain[1]) == {"l1", "l2", "l3"}


def _name(event: Any) -> str:
    """Answers carry the id of their listing's event; a reversal has one of its own."""
    if hasattr(event, "reversed_at"):
        return f"back-{event.transaction_id}"
    return getattr(event, "transaction_id", f"v-{event.listing_id}")
