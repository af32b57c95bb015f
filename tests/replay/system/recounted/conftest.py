"""The statistics of a log, recounted with plain lists, and what the system wrote in their place."""

import base64
import json
import struct
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from confluent_kafka import Message

Line = dict[str, Any]
Headers = list[tuple[str, bytes | None]]
Written = tuple[bytes | None, bytes | None, Headers, int]  # key, value, headers, timestamp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000


def payload(value: Any) -> bytes | None:
    """The bytes of a field of a log's line."""
    if value is None or isinstance(value, str):
        return None if value is None else value.encode()
    return base64.b64decode(value["base64"])


def record_headers(line: Line) -> Headers:
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
    today: int = 0  # the latest day of a sale, in days since 1970

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
        self.today = max(self.today, at_ms // DAY_MS)
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
            self.sales[place] = Sale("p", self.today * DAY_MS)  # it waits since
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
        headers = Wire.headers(
            record_headers(line), "/secondsight/stats", "listing.enriched", listing
        )
        self.enriched.append(
            (event["seller_id"].encode(), compact(value), headers, line["timestamp_ms"])
        )

    def take(self, line: Line, *, bad: bool) -> None:
        self.read[line["topic"]] += 1
        if bad:
            self.rejected[line["topic"]].append(line)
            return
        event = json.loads(payload(line["value"]) or b"")
        kind = dict(record_headers(line))["ce_type"]
        if kind == b"com.secondsight.item.sold.v1":
            self.sold(event)
        elif kind == b"com.secondsight.sale.reversed.v1":
            self.reversed(event)
        else:
            self.listed(event, line)

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
        state |= {
            b"mparked/"
            + struct.pack(">I", sale.at_ms // DAY_MS)
            + f"s{listing}\0{transaction}".encode(): b""
            for (listing, transaction), sale in self.sales.items()
            if sale.state == "p"
        }
        if self.today:
            state[b"mday"] = struct.pack("<q", self.today)
        state[b"mrules"] = struct.pack("<II", 0, 0)  # no window, no cap
        return state | {
            b"mposition/" + topic.encode(): struct.pack("<Bq", 2, count)
            for topic, count in self.read.items()
        }

    def until_applied(self, system: Any) -> None:
        """Wait until the state of the system says that both inputs are applied to their ends."""
        ends = {key: text for key, text in self.state().items() if key.startswith(b"mposition/")}
        assert len(ends) == 2
        system.until(lambda: ends.items() <= changelog_state(system).items())

    def check(self, system: Any, reasons: Mapping[str, Mapping[int, tuple[str, str, str]]]) -> None:
        """Compare all that the stats worker wrote; `reasons` says what the dead letters say."""
        assert Wire.written(system.written["listing.enriched"]) == self.enriched
        assert changelog_state(system) == self.state()
        for topic, lines in self.rejected.items():
            assert Wire.letters(system.written[f"{topic}.dead-letter"]) == [
                Wire.letter(
                    (
                        payload(line["key"]),
                        payload(line["value"]),
                        record_headers(line),
                        line["timestamp_ms"],
                    ),
                    topic,
                    line["offset"],
                    *reasons[topic][line["offset"]],
                )
                for line in lines
            ]


def changelog_state(system: Any) -> dict[bytes, bytes]:
    """The last value of every key, those of packed sales unpacked."""
    state: dict[bytes, bytes | None] = {}
    for message in system.written["stats.changelog"]:
        key, value = message.key(), message.value()
        if key[:1] == b"b":
            state |= unpacked(value)
        else:
            state[key] = value
    return {key: value for key, value in state.items() if value is not None}


def unpacked(value: bytes) -> dict[bytes, bytes]:
    """A day, how many, the lengths of the keys and of the values; the keys; the values."""
    _, count = struct.unpack_from("<IH", value)
    place, pieces = 6 + 4 * count, []
    for length in struct.unpack_from(f"<{2 * count}H", value, 6):
        pieces.append(value[place : place + length])
        place += length
    assert place == len(value)
    return dict(zip(pieces[:count], pieces[count:], strict=True))


def in_order(lines: Iterable[Line]) -> list[Line]:
    """Merge the two topics: the earlier head goes first, the listing where both are as early."""
    waiting: dict[str, list[Line]] = {"listing.created": [], "transactions": []}
    for line in lines:
        waiting[line["topic"]].append(line)
    merged = []
    while heads := [(side[0]["timestamp_ms"], topic) for topic, side in waiting.items() if side]:
        merged.append(waiting[min(heads)[1]].pop(0))  # "listing.created" < "transactions"
    return merged


class Wire:
    """How records look that the system writes, and how written ones are compared with them."""

    @staticmethod
    def json(fields: dict[str, Any]) -> bytes:
        return compact(fields)

    @staticmethod
    def headers(given: Headers, source: str, kind: str, subject: str) -> Headers:
        """The headers of what follows from a listing, from the headers of what it follows from."""
        known = dict(given)
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", known["ce_id"]),
            ("ce_source", source.encode()),
            ("ce_type", f"com.secondsight.{kind}.v1".encode()),
            ("ce_time", known["ce_time"]),
            ("content-type", b"application/json"),
            ("ce_subject", subject.encode()),
        ]
        return headers + [("traceparent", t) for t in [known.get("traceparent")] if t is not None]

    @staticmethod
    def letter(
        failed: Written, topic: str, offset: int, stage: str, error_class: str, message: str
    ) -> Written:
        """The dead letter of a record, without the time of the failure."""
        key, value, headers, _ = failed
        said: Headers = [
            ("dead_letter_topic", topic.encode()),
            ("dead_letter_partition", b"0"),
            ("dead_letter_offset", str(offset).encode()),
            ("dead_letter_stage", stage.encode()),
            ("dead_letter_error_class", error_class.encode()),
            ("dead_letter_message", message.encode()),
            ("dead_letter_attempt", b"1"),
        ]
        return key, value, headers + said, 0

    @staticmethod
    def written(messages: Iterable[Message]) -> list[Written]:
        result = []
        for message in messages:
            headers: Any = message.headers() or []
            result.append((message.key(), message.value(), headers, message.timestamp()[1]))
        return result

    @staticmethod
    def letters(messages: Iterable[Message]) -> list[Written]:
        """Dead letters without the time of the failure, which no two runs share."""
        result = []
        for key, value, headers, timestamp in Wire.written(messages):
            (failed_at,) = [text for name, text in headers if name == "dead_letter_failed_at"]
            moment = datetime.fromisoformat((failed_at or b"").decode())
            assert int(moment.timestamp() * 1000) == timestamp
            kept = [header for header in headers if header[0] != "dead_letter_failed_at"]
            result.append((key, value, kept, 0))
        return result


@pytest.fixture(scope="session")
def wire() -> Wire:
    return Wire()


@pytest.fixture(scope="session")
def recount() -> Callable[..., Recount]:
    """Recounts a log: `recount(log, bad={topic: offsets of what is no event})`."""

    def recount(log: Path, bad: Mapping[str, Container[int]] = MappingProxyType({})) -> Recount:
        lines = [json.loads(line) for line in log.read_text("utf-8").split("\n")[1:-1]]
        result = Recount()
        for line in in_order(lines):
            result.take(line, bad=line["offset"] in bad.get(line["topic"], ()))
        return result

    return recount


@pytest.fixture(params=[0, 4], ids=["full speed", "slowed"])
def speed(request: pytest.FixtureRequest) -> int:
    """0: as fast as possible; 4: the eight seconds of a day in two."""
    return int(request.param)


@pytest.fixture
def play(system: Any, speed: int) -> Callable[..., None]:
    """Starts workers and has a log replayed to them: `play(log, "stats", "suggest")`."""

    def play(log: Path, *workers: str) -> None:
        for worker in workers:
            system.start(worker)
        if speed:  # else the workers find the whole log
            system.until_ready()
        events = system.published(system.replay(log, speed=speed))
        assert events == len(log.read_text("utf-8").split("\n")) - 2

    return play
