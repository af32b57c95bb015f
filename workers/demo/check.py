"""The demo checks itself: every listing answered once by an answer of its own, no number wrong.

Which records may be set aside, and which photos may be missing, is known beforehand: those that
were planted. No worker and no decoder is asked.
"""

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.dead_letter import DeadLetter, dead_letter_topic
from schemas.suggestion import ReuploadReason
from schemas.topics import (
    LISTING_CREATED,
    LISTING_ENRICHED,
    PRICE_SUGGESTED,
    REUPLOAD_REQUESTED,
    TRANSACTIONS,
)
from workers.demo.logs import LogEntry
from workers.demo.planted import ENDINGS, PLANTED_HEADER
from workers.demo.recount import recount

_READ_TOPICS = (TRANSACTIONS, LISTING_CREATED, LISTING_ENRICHED)
_ANSWERS = (PRICE_SUGGESTED, REUPLOAD_REQUESTED)

CHECKED_TOPICS = (*_READ_TOPICS, *_ANSWERS, *map(dead_letter_topic, _READ_TOPICS))
"""The topics whose logs the check needs."""

SHOWN = 3
"""How many findings of a kind are spelt out."""

HANDFUL = 5
"""So many listings may all need other photos by chance; of more, some are priced."""

_IDENTITY = ("listing_id", "seller_id", "category")
_WITH_CURRENCY = (*_IDENTITY, "currency")

Logs = Mapping[str, Sequence[LogEntry]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found; `problems` says what is wrong in sentences, none when all is well.

    Attributes:
        listings: records in `listing.created`.
        transactions: records in `transactions`.
        suggested: listings answered with a price.
        reuploaded: listings answered with a request for other photos.
        dead_lettered: records set aside, of all topics.
        lost: listings without answer, and planted records that should have been set aside.
        doubled: answers beyond the one a listing may have, and dead letters of good records.
        statistics_checked: enriched listings compared with the recount.
        statistics_wrong: those that differ from it.
        problems: sentences, a few for each kind of finding.
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


def check(logs: Logs) -> Verdict:
    """Compare what went in with what came out.

    Args:
        logs: the committed records of each of CHECKED_TOPICS, in the order of offsets.
    """
    problems: list[str] = []
    letters = {topic: _letters(logs, topic) for topic in _READ_TOPICS}
    bad = {topic: _planted_bad(logs, topic) for topic in _READ_TOPICS}
    problems += _some(
        f"a dead letter of {topic} says that it is of {letter.topic}"
        for topic in _READ_TOPICS
        for letter in letters[topic]
        if letter.topic != topic
    )
    lost, doubled = _compare(
        Counter(e.event_id for e in logs[LISTING_CREATED] if e.offset not in bad[LISTING_CREATED]),
        Counter(entry.event_id for topic in _ANSWERS for entry in logs[topic]),
        "listing",
        "answer",
        problems,
    )
    for topic in _READ_TOPICS:
        missing, extra = _compare(
            Counter(bad[topic]),
            Counter(letter.offset for letter in letters[topic]),
            f"record of {topic} at",
            "dead letter",
            problems,
        )
        lost += missing
        doubled += extra
    problems += _some(_planted_elsewhere(logs, letters))
    problems += _some(_foreign_bodies(logs))
    problems += _some(_unordered_prices(logs))
    problems += _some(_unavailable(logs))
    problems += _nothing_suggested(logs)

    expected = recount(logs[TRANSACTIONS], logs[LISTING_CREATED])
    for topic, unread in (
        (TRANSACTIONS, expected.bad_transactions),
        (LISTING_CREATED, expected.bad_listings),
    ):
        problems += _some(
            f"record of {topic} at {offset} is bad by the recount, and was not planted"
            for offset in sorted(unread - bad[topic])
        )
    wrong = [
        f"listing {entry.event_id}: {found}, but by the recount {right}"
        for entry in logs[LISTING_ENRICHED]
        if (found := _body(entry).get("statistics"))
        != (right := expected.statistics.get(entry.event_id or ""))
    ]
    problems += _some(wrong)
    return Verdict(
        listings=len(logs[LISTING_CREATED]),
        transactions=len(logs[TRANSACTIONS]),
        suggested=len(logs[PRICE_SUGGESTED]),
        reuploaded=len(logs[REUPLOAD_REQUESTED]),
        dead_lettered=sum(map(len, letters.values())),
        lost=lost,
        doubled=doubled,
        statistics_checked=len(logs[LISTING_ENRICHED]),
        statistics_wrong=len(wrong),
        problems=tuple(problems),
    )


def _some(sentences: Iterable[str]) -> list[str]:
    found = list(sentences)
    return found if len(found) <= SHOWN else [*found[:SHOWN], f"and {len(found) - SHOWN} more such"]


def _letters(logs: Logs, topic: str) -> list[DeadLetter]:
    entries = logs[dead_letter_topic(topic)]
    return [DeadLetter.from_headers(entry.headers.items()) for entry in entries]


def _name(entry: LogEntry) -> str | None:
    """Return the name of a planted record."""
    name = entry.headers.get(PLANTED_HEADER)
    return None if name is None else name.decode(errors="replace")


def _planted_bad(logs: Logs, topic: str) -> set[int]:
    """Return the offsets of the planted records of a topic that have to be set aside."""
    away = dead_letter_topic(topic)
    names = {name for name, ending in ENDINGS.items() if ending.topic == away}
    return {entry.offset for entry in logs[topic] if _name(entry) in names}


def _compare(
    expected: Counter[Hashable],
    found: Counter[Hashable],
    what: str,
    result: str,
    problems: list[str],
) -> tuple[int, int]:
    """Return how many results are missing and how many are too many, and say which."""
    missing, extra = expected - found, found - expected  # of counts, only what is above zero
    problems += _some(f"{what} {name} has no {result}" for name in missing)
    problems += _some(
        f"{what} {name}: {found[name]} x {result}, {expected[name]} expected" for name in extra
    )
    return missing.total(), extra.total()


def _planted_elsewhere(logs: Logs, letters: Mapping[str, Sequence[DeadLetter]]) -> Iterator[str]:
    """Say which planted records are not there or do not end as they should."""
    planted = {
        _name(entry): (topic, entry)
        for topic in (TRANSACTIONS, LISTING_CREATED)
        for entry in logs[topic]
    }
    for name, ending in ENDINGS.items():
        if name not in planted:
            yield f"the planted record {name} is in no topic"
            continue
        topic, entry = planted[name]
        if ending.topic == dead_letter_topic(topic):
            found = {each.stage for each in letters[topic] if each.offset == entry.offset}
        else:
            answers = [each for each in logs[ending.topic] if each.event_id == entry.event_id]
            found = {next(iter(_reasons(answer)), "none") for answer in answers}
        if found != {ending.reason}:
            yield (
                f"the planted record {name} should be in {ending.topic} with the reason "
                f"{ending.reason}, and has there: {', '.join(sorted(found)) or 'nothing'}"
            )


def _foreign_bodies(logs: Logs) -> Iterator[str]:
    """Say which records differ from the record that caused them, the one with their event id."""
    for topic, origin, fields in (
        (LISTING_ENRICHED, LISTING_CREATED, _WITH_CURRENCY),
        (PRICE_SUGGESTED, LISTING_ENRICHED, (*_WITH_CURRENCY, "statistics")),
        (REUPLOAD_REQUESTED, LISTING_ENRICHED, _IDENTITY),
    ):
        causes = {entry.event_id: _body(entry) for entry in logs[origin]}
        for entry in logs[topic]:
            body, cause = _body(entry), causes.get(entry.event_id, {})
            wrong = [name for name in fields if name not in body or body[name] != cause.get(name)]
            if wrong:
                yield f"{topic} of listing {entry.event_id} differs in {' and '.join(wrong)}"


def _unordered_prices(logs: Logs) -> Iterator[str]:
    for entry in logs[PRICE_SUGGESTED]:
        body = _body(entry)
        prices = [body.get(name) for name in ("low_minor", "price_minor", "high_minor")]
        low, price, high = (each if isinstance(each, int) else 0 for each in prices)
        if not 0 < low <= price <= high:
            yield f"listing {entry.event_id}: low, price and high are {prices}"


def _unavailable(logs: Logs) -> Iterator[str]:
    """Say which photos could not be had, of listings for which that was not planted."""
    missing = {name for name, each in ENDINGS.items() if each.reason == ReuploadReason.UNAVAILABLE}
    planted = {entry.event_id for entry in logs[LISTING_CREATED] if _name(entry) in missing}
    for entry in logs[REUPLOAD_REQUESTED]:
        if entry.event_id not in planted and ReuploadReason.UNAVAILABLE in _reasons(entry):
            yield f"a photo of listing {entry.event_id} was unavailable"


def _nothing_suggested(logs: Logs) -> list[str]:
    planted = {entry.event_id for entry in logs[LISTING_CREATED] if _name(entry) is not None}
    refused = sum(entry.event_id not in planted for entry in logs[REUPLOAD_REQUESTED])
    if logs[PRICE_SUGGESTED] or refused <= HANDFUL:
        return []
    return [f"{refused} listings were answered, and none with a price"]


def _reasons(entry: LogEntry) -> list[str]:
    """Return the codes of the reasons of a request for other photos, the leading one first."""
    return [reason["code"] for reason in _body(entry).get("reasons", ())]


def _body(entry: LogEntry) -> dict[str, Any]:
    """Return the JSON object that a record carries; of a bad record, nothing."""
    try:
        found = json.loads(entry.value or b"")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
