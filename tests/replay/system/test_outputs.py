"""All that the system writes for four days, byte for byte against a recount with plain lists."""

import base64
import json
import math
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from schemas.suggestion import ReuploadReason
from workers.suggest.hints import hint_for

Line = dict[str, Any]
Written = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]], int]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SOLD, LISTED = "com.secondsight.item.sold.v1", "com.secondsight.listing.created.v1"


def not_an_event(message: str) -> tuple[str, str, str]:
    return "decode", "EventError", message


def missing(headers: str) -> tuple[str, str, str]:
    return not_an_event(
        f"missing headers: {headers} (CloudEvents 1.0 in binary content mode is expected)"
    )


# What the dead letters of the day "poison" say, by topic and offset: stage, error class, message.
POISON: dict[str, dict[int, tuple[str, str, str]]] = {
    "transactions": {
        1: not_an_event("the value is empty"),
        2: not_an_event("the value is empty"),
        3: not_an_event(f"{SOLD}: value: Invalid JSON: expected ident at line 1 column 2"),
        4: not_an_event(f"{SOLD}: the value is not UTF-8 (byte 0)"),
        5: not_an_event(
            f"{SOLD}: transaction_id: Field required; listing_id: Input should be a valid string; "
            "seller_id: Field required; category: Field required; price_minor: Field required; "
            "currency: Field required; sold_at: Field required"
        ),
        6: missing("ce_specversion, ce_id, ce_source, ce_type, ce_time, content-type"),
        7: missing("ce_type"),
        8: not_an_event(
            "ce_type 'com.secondsight.item.sold.v9' is an unknown version; "
            "com.secondsight.item.sold.v1 is the one known"
        ),
        10: not_an_event(f"{SOLD}: price_minor: Input should be greater than or equal to 1"),
        11: not_an_event(f"{SOLD}: price_minor: Input should be greater than or equal to 1"),
        12: not_an_event(
            f"{SOLD}: price_minor: Input should be less than or equal to 1000000000000000"
        ),
        13: not_an_event(f"{SOLD}: price_minor: Input should be a valid integer"),
        14: not_an_event(f"{SOLD}: currency: 'XXX' is not an ISO 4217 currency code"),
        15: not_an_event(
            f"{SOLD}: sold_at: must be an RFC 3339 time with a zone, such as 2026-01-31T12:00:00Z"
        ),
        16: (
            "clock",
            "FutureEventError",
            "ce_time 2057-11-08T09:46:40+00:00 is more than 600 s ahead of this worker's clock",
        ),
        17: (
            "conflict",
            "SaleConflictError",
            "listing 'l-1' was sold in transaction 't-1' before, and otherwise: "
            "SaleRecord(state=<SaleState.SOLD: 115>, at_ms=1772438400100, price_minor=1000, "
            "currency='GBP', seller_id='ann', category='Toys')",
        ),
    },
    "listing.created": {
        2: not_an_event(
            f"{LISTED}: images: Tuple should have at least 1 item after validation, not 0"
        ),
        3: not_an_event(
            f"{LISTED}: images[0].uri: String should match pattern "
            r"'^[A-Za-z][A-Za-z0-9+.-]*:[^\u0000-\u0020\u007f-\u009f]+$'; "
            "images: Tuple should have at least 1 item after validation, not 0"
        ),
        4: not_an_event(
            "ce_type 'com.secondsight.item.sold.v1' is unknown here; "
            "expected: com.secondsight.listing.created.v1"
        ),
    },
}


def payload(value: Any) -> bytes | None:
    """The bytes of a field of a log's line."""
    if value is None or isinstance(value, str):
        return None if value is None else value.encode()
    return base64.b64decode(value["base64"])


def record_headers(line: Line) -> list[tuple[str, bytes | None]]:
    return [(name, payload(text)) for name, text in line["headers"]]


def compact(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def milliseconds(moment: str) -> int:
    return (datetime.fromisoformat(moment) - EPOCH) // timedelta(milliseconds=1)


# --- the documented rounding and the documented bytes of statistics ------------------------


def bucket_of(price: int) -> int:
    shift = max(0, price.bit_length() - 8)
    return 128 * shift + (price >> shift)


def bucket_middle(price: int) -> int:
    """Exact below 256, else the middle of one of 128 buckets an octave."""
    width = 1 << max(0, price.bit_length() - 8)
    return price // width * width + width // 2


def quartiles_and_mean(prices: list[int]) -> dict[str, int]:
    ordered = sorted(prices)
    ranks = [-(-len(ordered) * quarter // 4) for quarter in (1, 2, 3)]  # nearest rank, ceil(q n)
    q1, q2, q3 = (bucket_middle(ordered[rank - 1]) for rank in ranks)
    mean = (2 * sum(ordered) + len(ordered)) // (2 * len(ordered))  # half up
    return {"q1": q1, "q2": q2, "q3": q3, "mean": mean}


def histogram_bytes(prices: list[int]) -> bytes:
    counts = sorted(Counter(bucket_of(price) for price in prices).items())
    assert all(amount < 256 for _, amount in counts)  # one byte a count is enough here
    total = sum(prices)
    size = (total.bit_length() + 7) // 8
    return (
        bytes((1, 1, size))
        + total.to_bytes(size, "little")
        + b"".join(struct.pack("<H", bucket) for bucket, _ in counts)
        + bytes(amount for _, amount in counts)
    )


# --- the recount -----------------------------------------------------------------------------


@dataclass
class Sale:
    state: str  # s sold, r reversed, p parked
    at_ms: int
    event: dict[str, Any] = field(default_factory=dict)

    def as_bytes(self) -> bytes:
        if self.state == "p":
            return b"p" + struct.pack("<q", self.at_ms)
        money = struct.pack(
            "<qq3s", self.event["price_minor"], self.at_ms, self.event["currency"].encode()
        )
        names = f"{self.event['seller_id']}\0{self.event['category']}"
        return self.state.encode() + money + names.encode()


@dataclass
class Recount:
    """What the stats worker has to write for a log, and the state that it ends in."""

    sales: dict[tuple[str, str], Sale] = field(default_factory=dict)
    scopes: set[tuple[str, str, str]] = field(default_factory=set)  # all that ever had a sale
    enriched: list[Written] = field(default_factory=list)
    rejected: dict[str, list[Line]] = field(
        default_factory=lambda: {"transactions": [], "listing.created": []}
    )
    read: Counter[str] = field(default_factory=Counter)

    def prices(self, scope: tuple[str, str, str], *, without: str = "") -> list[int]:
        kind, currency, name = scope
        return [
            sale.event["price_minor"]
            for sale in self.sales.values()
            if sale.state == "s"
            and sale.event["currency"] == currency
            and sale.event["listing_id"] != without
            and name == {"s": sale.event["seller_id"], "c": sale.event["category"], "g": ""}[kind]
        ]

    def sold(self, event: dict[str, Any]) -> None:
        place = event["listing_id"], event["transaction_id"]
        known = self.sales.get(place)
        if known is not None and known.state != "p":
            return  # told twice
        at_ms = milliseconds(event["sold_at"])
        self.sales[place] = Sale("s" if known is None else "r", at_ms, event)
        if known is None:
            currency = event["currency"]
            self.scopes |= {
                ("s", currency, event["seller_id"]),
                ("c", currency, event["category"]),
                ("g", currency, ""),
            }

    def reversed(self, event: dict[str, Any]) -> None:
        place = event["listing_id"], event["transaction_id"]
        if place not in self.sales:
            self.sales[place] = Sale("p", milliseconds(event["reversed_at"]))
        elif self.sales[place].state == "s":
            self.sales[place].state = "r"

    def listed(self, event: dict[str, Any], line: Line) -> None:
        currency, listing = event["currency"], event["listing_id"]
        scopes = [
            ("seller", "seller", ("s", currency, event["seller_id"])),
            ("category", "category", ("c", currency, event["category"])),
            ("overall", "global", ("g", currency, "")),
        ]
        statistics: dict[str, Any] = {"currency": currency}
        for place, (name, _, own) in enumerate(scopes):
            numbers: dict[str, Any] = {"q1": 0, "q2": 0, "q3": 0, "mean": 0}
            source = "none"
            for _, wider, scope in scopes[place:]:
                if prices := self.prices(scope, without=listing):
                    numbers, source = quartiles_and_mean(prices), wider
                    break
            count = len(self.prices(own, without=listing))
            statistics[name] = numbers | {"count": count, "source": source}
        value = {name: event[name] for name in ("listing_id", "seller_id", "category", "currency")}
        value |= {"images": event["images"], "listed_at": event["listed_at"]}
        value |= {name: event[name] for name in ("brand",) if name in event}
        value |= {"attributes": event.get("attributes", [])}
        value |= {"specifications": event.get("specifications", {})}
        value |= {name: event[name] for name in ("title",) if name in event}
        value |= {"statistics": statistics}
        given = dict(record_headers(line))
        headers = derived(given, "/secondsight/stats", "listing.enriched", listing)
        self.enriched.append(
            (event["seller_id"].encode(), compact(value), headers, line["timestamp_ms"])
        )

    def state(self) -> dict[bytes, bytes]:
        """The last value of every key of the changelog."""
        state = {
            b"h" + kind.encode() + currency.encode() + name.encode(): histogram_bytes(
                self.prices((kind, currency, name))
            )
            for kind, currency, name in self.scopes
        }
        state |= {
            f"s{listing}\0{transaction}".encode(): sale.as_bytes()
            for (listing, transaction), sale in self.sales.items()
        }
        return state | {
            b"mposition/" + topic.encode(): struct.pack("<Bq", 1, count)
            for topic, count in self.read.items()
        }


def derived(
    given: dict[str, bytes | None], source: str, kind: str, subject: str
) -> list[tuple[str, bytes | None]]:
    """The headers of what follows from a listing."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", given["ce_id"]),
        ("ce_source", source.encode()),
        ("ce_type", f"com.secondsight.{kind}.v1".encode()),
        ("ce_time", given["ce_time"]),
        ("content-type", b"application/json"),
        ("ce_subject", subject.encode()),
    ]
    return headers + [("traceparent", t) for t in [given.get("traceparent")] if t is not None]


def in_order(lines: Iterable[Line]) -> list[Line]:
    """Merge the two topics: the earlier head goes first, the listing where both are as early."""
    waiting: dict[str, list[Line]] = {"listing.created": [], "transactions": []}
    for line in lines:
        waiting[line["topic"]].append(line)
    merged = []
    while heads := [(side[0]["timestamp_ms"], topic) for topic, side in waiting.items() if side]:
        merged.append(waiting[min(heads)[1]].pop(0))  # "listing.created" < "transactions"
    return merged


def recount(log: Path, bad: Callable[[Line], bool]) -> Recount:
    lines = [json.loads(line) for line in log.read_text("utf-8").split("\n")[1:-1]]
    result = Recount()
    for line in in_order(lines):
        result.read[line["topic"]] += 1
        if bad(line):
            result.rejected[line["topic"]].append(line)
            continue
        event = json.loads(payload(line["value"]) or b"")
        kind = (dict(record_headers(line))["ce_type"] or b"").decode()
        if kind == "com.secondsight.item.sold.v1":
            result.sold(event)
        elif kind == "com.secondsight.sale.reversed.v1":
            result.reversed(event)
        else:
            result.listed(event, line)
    return result


# --- what was written --------------------------------------------------------------------------


def as_written(message: Message) -> Written:
    headers: Any = message.headers() or []
    return message.key(), message.value(), headers, message.timestamp()[1]


def letters(messages: list[Message]) -> list[Written]:
    """Dead letters without the one header that no two runs share."""
    written = []
    for message in messages:
        key, value, headers, timestamp = as_written(message)
        assert [name for name, _ in headers].count("dead_letter_failed_at") == 1
        kept = [header for header in headers if header[0] != "dead_letter_failed_at"]
        written.append((key, value, kept, timestamp))
    return written


def letter(
    line: Written, topic: str, offset: int, stage: str, error_class: str, message: str
) -> Written:
    """The dead letter of a record."""
    said: list[tuple[str, bytes | None]] = [
        ("dead_letter_topic", topic.encode()),
        ("dead_letter_partition", b"0"),
        ("dead_letter_offset", str(offset).encode()),
        ("dead_letter_stage", stage.encode()),
        ("dead_letter_error_class", error_class.encode()),
        ("dead_letter_message", message.encode()),
        ("dead_letter_attempt", b"1"),
    ]
    key, value, headers, timestamp = line
    return key, value, headers + said, timestamp


def changelog_state(messages: list[Message]) -> dict[bytes, bytes]:
    return {message.key() or b"": message.value() or b"" for message in messages}


def until_all_is_applied(system: Any, expected: Recount) -> None:
    """Wait until the state says that both inputs are applied to their ends."""
    ends = {key: text for key, text in expected.state().items() if key.startswith(b"mposition/")}
    assert len(ends) == 2
    system.until(lambda: ends.items() <= changelog_state(system.written["stats.changelog"]).items())


def check_statistics(system: Any, expected: Recount, poison: dict[str, Any]) -> None:
    assert [as_written(m) for m in system.written["listing.enriched"]] == expected.enriched
    assert changelog_state(system.written["stats.changelog"]) == expected.state()
    for topic, lines in expected.rejected.items():
        assert letters(system.written[f"{topic}.dead-letter"]) == [
            letter(
                (
                    payload(line["key"]),
                    payload(line["value"]),
                    record_headers(line),
                    line["timestamp_ms"],
                ),
                topic,
                line["offset"],
                *poison[topic][line["offset"]],
            )
            for line in lines
        ]


# --- the suggest worker ------------------------------------------------------------------------

# What is seen in a photo: its red, or why it is left out with the weight of that.
SEEN: dict[str, int | tuple[str, float]] = {
    "red 192": 192,
    "red 128": 128,
    "red 64": 64,
    "dark": ("too_dark", 0.489),
    "small": ("low_resolution", 0.5),
    "broken": ("unreadable", 1.0),
    "elsewhere": ("unavailable", 1.0),
}


@dataclass
class Answers:
    """What the suggest worker has to write for enriched listings."""

    prices: list[Written] = field(default_factory=list)
    reuploads: list[Written] = field(default_factory=list)
    foreign: list[Written] = field(default_factory=list)  # in a currency that has no model

    def __len__(self) -> int:
        return len(self.prices) + len(self.reuploads) + len(self.foreign)


def answers_to(enriched: list[Written], photos: dict[str, str], version: str) -> Answers:
    names = {uri: name for name, uri in photos.items()}
    result = Answers()
    for written in enriched:
        key, value, headers, timestamp = written
        listing = json.loads(value or b"")
        if listing["currency"] != "GBP":
            result.foreign.append(written)
            continue
        seen = [SEEN[names[image["uri"]]] for image in listing["images"]]
        reds = [red / 256 for red in seen if isinstance(red, int)]
        answer = {name: listing[name] for name in ("listing_id", "seller_id", "category")}
        red = sum(reds) / len(reds) if reds else 0.0
        confidence = {"confidence": 1 / (1 + math.exp(3 - 10 * red))} if reds else {}
        last = {"model_version": version, "listed_at": listing["listed_at"]}
        if reds and 10 * red - 3 >= 0:
            kind, into = "price.suggested", result.prices
            price, low, high = (
                round(100 * math.exp(3 + 2 * red + step)) for step in (0, -0.5, 0.5)
            )
            answer |= {"currency": "GBP", "price_minor": price}
            answer |= {"low_minor": low, "high_minor": high, "range_probability": 0.8}
            answer |= {**confidence, "statistics": listing["statistics"], **last}
        else:
            kind, into = "reupload.requested", result.reuploads
            faults = [(*s, i) for i, s in enumerate(seen) if not isinstance(s, int)]
            faults.sort(key=lambda fault: -fault[1])
            answer["reasons"] = [
                {"code": code, "hint": hint_for(ReuploadReason(code)), "image": image}
                for code, _, image in faults
            ] or [
                {
                    "code": "inadequate_information",
                    "hint": hint_for(ReuploadReason.INADEQUATE_INFORMATION),
                }
            ]
            answer |= confidence | last
        given = dict(headers)
        headers = derived(given, "/secondsight/suggest", kind, listing["listing_id"])
        into.append((key, compact(answer), headers, timestamp))
    return result


def answered(system: Any) -> int:
    topics = ("price.suggested", "reupload.requested", "listing.enriched.dead-letter")
    return sum(len(system.written[topic]) for topic in topics)


def check_answers(system: Any, expected: Answers) -> None:
    assert [as_written(m) for m in system.written["price.suggested"]] == expected.prices
    assert [as_written(m) for m in system.written["reupload.requested"]] == expected.reuploads
    # the offset in listing.enriched depends on where transactions ended
    offsets = {m.value(): m.offset() for m in system.written["listing.enriched"]}
    assert letters(system.written["listing.enriched.dead-letter"]) == [
        letter(
            written,
            "listing.enriched",
            offsets[written[1]],
            "currency",
            "CurrencyError",
            "the model prices in GBP, not in JPY",
        )
        for written in expected.foreign
    ]


# --- the four days -----------------------------------------------------------------------------


@pytest.fixture(params=[0, 4], ids=["full speed", "slowed"])
def speed(request: pytest.FixtureRequest) -> int:
    """0: as fast as possible; 4: the eight seconds of a day in two."""
    return int(request.param)


@pytest.fixture(scope="module")
def version(bundle: Path) -> str:
    manifest = json.loads((bundle / "bundle.json").read_bytes())
    return str(manifest["model_version"])


def play(system: Any, log: Path, *, speed: int, workers: tuple[str, ...]) -> None:
    for worker in workers:
        system.start(worker)
    if speed:  # else the workers find the whole log
        system.until(lambda: all(worker.ready() for worker in system.workers.values()))
    events = system.published(system.replay(log, speed=speed))
    assert events == len(log.read_text("utf-8").split("\n")) - 2


def test_a_normal_day(
    system: Any,
    log_file: Callable[[str], Path],
    photos: dict[str, str],
    version: str,
    speed: int,
) -> None:
    log = log_file("normal-day")
    expected = recount(log, bad=lambda _: False)
    answers = answers_to(expected.enriched, photos, version)
    assert len(answers.prices) >= 4
    assert len(answers.reuploads) >= 4
    assert len(answers.foreign) == 1
    play(system, log, speed=speed, workers=("stats", "suggest"))
    until_all_is_applied(system, expected)
    system.until(lambda: answered(system) >= len(answers))
    system.stop()
    check_statistics(system, expected, {})
    check_answers(system, answers)


def test_refunds_and_duplicates(system: Any, log_file: Callable[[str], Path], speed: int) -> None:
    log = log_file("refunds-and-duplicates")
    expected = recount(log, bad=lambda _: False)
    play(system, log, speed=speed, workers=("stats",))
    until_all_is_applied(system, expected)
    system.stop()
    check_statistics(system, expected, {})


def test_poison(system: Any, log_file: Callable[[str], Path], speed: int) -> None:
    log = log_file("poison")
    expected = recount(log, bad=lambda line: line["offset"] in POISON[line["topic"]])
    assert {topic: len(lines) for topic, lines in expected.rejected.items()} == {
        topic: len(table) for topic, table in POISON.items()
    }
    play(system, log, speed=speed, workers=("stats",))
    until_all_is_applied(system, expected)
    system.stop()
    check_statistics(system, expected, POISON)


@pytest.mark.parametrize("data", ["data", "an empty folder"])
def test_a_restart_in_the_middle(
    system: Any,
    log_file: Callable[[str], Path],
    photos: dict[str, str],
    version: str,
    tmp_path: Path,
    speed: int,
    data: str,
) -> None:
    log = log_file("restart")
    expected = recount(log, bad=lambda _: False)
    answers = answers_to(expected.enriched, photos, version)
    head, *lines = log.read_text("utf-8").split("\n")[:-1]
    # The rest comes when both workers have been killed, so that they cannot be done before.
    cut = len(lines) * 2 // 3
    parts = {"first": lines[:cut], "second": lines[cut:]}
    files = {name: tmp_path / f"{name}.jsonl" for name in parts}
    for name, part in parts.items():
        files[name].write_text("\n".join([head, *part, ""]), "utf-8")

    system.start("stats")
    system.start("suggest")
    if speed:
        system.until(lambda: all(worker.ready() for worker in system.workers.values()))
    first = system.replay(files["first"], speed=speed)
    system.until(lambda: 2 * len(system.written["listing.enriched"]) >= len(expected.enriched))
    system.workers["stats"].kill()
    assert len(system.written["listing.enriched"]) < len(expected.enriched)
    system.start("stats", data=data)
    system.until(lambda: 2 * answered(system) >= len(answers))
    system.workers["suggest"].kill()
    assert answered(system) < len(answers)
    system.start("suggest")
    assert system.published(first) == cut
    assert system.published(system.replay(files["second"], speed=speed)) == len(lines) - cut

    until_all_is_applied(system, expected)
    system.until(lambda: answered(system) >= len(answers))
    system.stop()
    check_statistics(system, expected, {})
    check_answers(system, answers)
