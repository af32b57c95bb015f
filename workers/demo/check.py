"""The demo checks itself: every listing answered once and only once, every statistic right."""

import json
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from schemas.dead_letter import DeadLetter, dead_letter_topic
from schemas.topics import (
    LISTING_CREATED,
    LISTING_ENRICHED,
    PRICE_SUGGESTED,
    REUPLOAD_REQUESTED,
    TRANSACTIONS,
)
from workers.demo.logs import LogEntry
from workers.demo.recount import Recount, recount

CHECKED_TOPICS = (
    TRANSACTIONS,
    LISTING_CREATED,
    LISTING_ENRICHED,
    PRICE_SUGGESTED,
    REUPLOAD_REQUESTED,
    *(dead_letter_topic(topic) for topic in (TRANSACTIONS, LISTING_CREATED, LISTING_ENRICHED)),
)
"""The topics whose logs the check needs."""

SHOWN = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found; `problems` says what is wrong in sentences, none when all is well.

    Attributes:
        listings: records in `listing.created`.
        transactions: records in `transactions`.
        suggested: listings answered with a price.
        reuploaded: listings answered with a request for other photos.
        dead_lettered: records set aside, of all topics.
        lost: records neither answered nor set aside.
        doubled: answers and dead letters beyond the one that each record may have.
        statistics_checked: enriched listings compared with the recount.
        statistics_wrong: those that differ from it.
        problems: one sentence each.
    """

    listings: int
    transactions: int
    suggested: int
    reuploaded: int
    dead_lettered: int
    lost: int
    doubled: int
    statistics_checked: int
    statistics_wrong: int
    problems: tuple[str, ...]


def check(logs: Mapping[str, Sequence[LogEntry]]) -> Verdict:
    """Compare what went in with what came out.

    Args:
        logs: the committed records of each of CHECKED_TOPICS, in the order of offsets.
    """
    expected = recount(logs[TRANSACTIONS], logs[LISTING_CREATED])
    problems: list[str] = []
    set_aside = {
        topic: _failed_offsets(logs[dead_letter_topic(topic)], topic, problems)
        for topic in (TRANSACTIONS, LISTING_CREATED, LISTING_ENRICHED)
    }
    event_ids: dict[Hashable, str | None] = {
        entry.offset: entry.event_id for entry in logs[LISTING_ENRICHED]
    }
    answers: Counter[Hashable] = Counter(
        entry.event_id for topic in (PRICE_SUGGESTED, REUPLOAD_REQUESTED) for entry in logs[topic]
    )
    for offset in set_aside[LISTING_ENRICHED].elements():
        answers[event_ids.get(offset)] += 1  # the model could not price it; that is an answer too
    lost, doubled = 0, 0
    for wanted, found, what, result in (
        (expected.listings, answers, "listing", "answer"),
        (expected.bad_listings, set_aside[LISTING_CREATED], "bad listing at", "dead letter"),
        (expected.bad_transactions, set_aside[TRANSACTIONS], "bad sale at", "dead letter"),
    ):
        missing, extra = _compare(Counter(wanted), found, what, result, problems)
        lost += missing
        doubled += extra
    checked, wrong = _compare_statistics(expected, logs[LISTING_ENRICHED], problems)
    return Verdict(
        listings=len(logs[LISTING_CREATED]),
        transactions=len(logs[TRANSACTIONS]),
        suggested=len(logs[PRICE_SUGGESTED]),
        reuploaded=len(logs[REUPLOAD_REQUESTED]),
        dead_lettered=sum(times.total() for times in set_aside.values()),
        lost=lost,
        doubled=doubled,
        statistics_checked=checked,
        statistics_wrong=wrong,
        problems=tuple(problems),
    )


def _failed_offsets(
    letters: Sequence[LogEntry], topic: str, problems: list[str]
) -> Counter[Hashable]:
    offsets: Counter[Hashable] = Counter()
    for entry in letters:
        letter = DeadLetter.from_headers(entry.headers.items())
        if letter.topic != topic:
            problems.append(f"a dead letter of {topic} says that it is of {letter.topic}")
        offsets[letter.offset] += 1
    return offsets


def _compare(
    expected: Counter[Hashable],
    found: Counter[Hashable],
    what: str,
    result: str,
    problems: list[str],
) -> tuple[int, int]:
    """Return how many results are missing and how many are too many, and say which."""
    missing, extra = expected - found, found - expected  # of counts, only what is above zero
    problems += [f"{what} {name} has no {result}" for name in list(missing)[:SHOWN]]
    for name in list(extra)[:SHOWN]:
        problems.append(f"{what} {name}: {found[name]} x {result}, {expected[name]} expected")
    return missing.total(), extra.total()


def _compare_statistics(
    expected: Recount, enriched: Sequence[LogEntry], problems: list[str]
) -> tuple[int, int]:
    wrong = 0
    for entry in enriched:
        found = json.loads(entry.value or b"{}").get("statistics")
        right = expected.statistics.get(entry.event_id or "")
        if found != right:
            wrong += 1
            if wrong <= SHOWN:
                problems.append(f"listing {entry.event_id}: {found}, but by the recount {right}")
    return len(enriched), wrong
