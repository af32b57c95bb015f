"""The recorded logs of four small days, made by code: one partition, second by second.

The lines are written here after the page docs/replay.md and not with the program's own writer, so
that the committed logs hold the format.
"""

import base64
import json
import random
import struct
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

LOGS = Path(__file__).parent / "logs"
START = datetime(2026, 3, 2, 8, tzinfo=UTC)

SELLERS = ("ann", "bob", "Zoë")
CATEGORIES = ("Clothing > Shoes", "Möbel > Stühle", "Toys")

Colour = tuple[int, int, int]


def png(side: int, dark: Colour, light: Colour) -> bytes:
    """A square of blocks in two colours, byte for byte the same with any version of zlib."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    draw = random.Random(3)
    blocks = [[draw.random() < 0.5 for _ in range(side // 5)] for _ in range(side // 5)]
    rows = []
    for y in range(side):
        bits = "".join("1" if blocks[y // 5][x // 5] else "0" for x in range(side))
        rows.append(b"\0" + int(bits, 2).to_bytes(side // 8, "big"))
    raw = b"".join(rows)
    stored = b"\x01" + struct.pack("<HH", len(raw), len(raw) ^ 0xFFFF) + raw
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 3, 0, 0, 0))
        + chunk(b"PLTE", bytes(dark + light))
        + chunk(b"IDAT", b"\x78\x01" + stored + struct.pack(">I", zlib.adler32(raw)))
        + chunk(b"IEND", b"")
    )


def data_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def red_photo(red: int) -> str:
    """A sound photo whose red channel is the same everywhere."""
    return data_uri(png(80, (red, 40, 40), (red, 220, 220)))


PHOTOS = {
    "red 192": red_photo(192),
    "red 128": red_photo(128),
    "red 64": red_photo(64),
    "dark": data_uri(png(80, (10, 5, 5), (30, 20, 20))),
    "small": data_uri(png(40, (192, 40, 40), (192, 220, 220))),
    "broken": data_uri(b"not a photo"),
    "elsewhere": "https://photos.example.org/1.jpg",
}


class Day:
    """A log in the making; what is added comes in the order of publishing."""

    def __init__(self) -> None:
        self._offsets = {"transactions": 0, "listing.created": 0}
        self.lines: list[dict[str, Any]] = []

    @staticmethod
    def at(second: float) -> str:
        moment = START + timedelta(seconds=second)
        return moment.isoformat().replace("+00:00", "Z")

    def add(
        self,
        topic: str,
        second: float,
        key: str | None,
        value: bytes | None,
        headers: list[tuple[str, str]],
    ) -> None:
        self.lines.append(
            {
                "topic": topic,
                "partition": 0,
                "offset": self._offsets[topic],
                "timestamp_ms": int((START + timedelta(seconds=second)).timestamp() * 1000),
                "key": key,
                "value": self.payload(value),
                "headers": [list(header) for header in headers],
            }
        )
        self._offsets[topic] += 1

    @staticmethod
    def payload(value: bytes | None) -> object:
        if value is None:
            return None
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}

    def headers(
        self, name: str, second: float, kind: str, version: int = 1
    ) -> list[tuple[str, str]]:
        return [
            ("ce_specversion", "1.0"),
            ("ce_id", name),
            ("ce_source", "/market"),
            ("ce_type", f"com.secondsight.{kind}.v{version}"),
            ("ce_time", self.at(second)),
            ("content-type", "application/json"),
        ]

    @staticmethod
    def json(fields: dict[str, Any]) -> bytes:
        return json.dumps(fields, ensure_ascii=False).encode()

    def sale(
        self,
        name: str,
        second: float,
        price: int,
        *,
        sent_at: float | None = None,
        raw: dict[str, Any] | None = None,
        headers: list[tuple[str, str]] | None = None,
        seller: str = "ann",
        category: str = "Toys",
        currency: str = "GBP",
        listing: str | None = None,
    ) -> None:
        """A sale; `raw` replaces fields, `sent_at` is the record's own time."""
        fields = {
            "transaction_id": f"t-{name}",
            "listing_id": listing or f"l-{name}",
            "seller_id": seller,
            "category": category,
            "price_minor": price,
            "currency": currency,
            "sold_at": self.at(second),
        } | (raw or {})
        self.add(
            "transactions",
            second if sent_at is None else sent_at,
            seller,
            self.json(fields),
            headers or self.headers(f"sale-{name}", second, "item.sold"),
        )

    def refund(
        self, name: str, second: float, *, seller: str = "ann", listing: str | None = None
    ) -> None:
        fields = {
            "transaction_id": f"t-{name}",
            "listing_id": listing or f"l-{name}",
            "seller_id": seller,
            "reversed_at": self.at(second),
        }
        headers = self.headers(f"refund-{name}", second, "sale.reversed")
        self.add("transactions", second, seller, self.json(fields), headers)

    def listing(
        self,
        name: str,
        second: float,
        *photos: str,
        seller: str = "ann",
        category: str = "Toys",
        currency: str = "GBP",
        trace: bool = False,
        **more: Any,
    ) -> None:
        fields = {
            "listing_id": name,
            "seller_id": seller,
            "category": category,
            "currency": currency,
            "images": [{"uri": PHOTOS[photo]} for photo in photos or ("elsewhere",)],
            "listed_at": self.at(second),
        } | more
        headers = self.headers(f"listed-{name}", second, "listing.created")
        if trace:
            headers.append(("traceparent", f"00-{'1' * 32}-{'2' * 16}-01"))
        self.add("listing.created", second, seller, self.json(fields), headers)

    def text(self) -> str:
        head = {
            "format": "secondsight-log",
            "version": 1,
            "partitions": {"transactions": 1, "listing.created": 1},
        }
        lines = [json.dumps(x, ensure_ascii=False, separators=(",", ":")) for x in self.lines]
        return "\n".join([json.dumps(head, separators=(",", ":")), *lines, ""])


def normal_day() -> Day:
    """Sales of three sellers, and listings with photos of every kind."""
    day, draw = Day(), random.Random(11)
    photos: list[tuple[str, ...]] = [
        ("red 192",),
        ("red 128",),
        ("red 64",),
        ("dark",),
        ("small",),
        ("broken",),
        ("elsewhere",),
        ("red 192", "red 64"),
        ("broken", "red 128"),
        ("small", "elsewhere"),
    ]
    for step in range(48):
        second = step / 6
        seller, category = SELLERS[step * 7 % 3], CATEGORIES[step * 5 % 11 % 3]
        if step % 4 == 0:
            number = step // 4
            more: dict[str, Any] = {}
            if number == 1:
                more = {
                    "brand": "Oakmoor",
                    "attributes": ["brown", "leather"],
                    "specifications": {"size": "42"},
                    "title": "Leather boots, “worn twice”",
                }
            day.listing(
                f"new-{number}",
                second,
                *photos[number % len(photos)],
                seller=seller,
                category=category,
                currency="JPY" if number == 10 else "GBP",
                trace=number == 2,
                **more,
            )
        else:
            price = int(10 ** (1 + 6 * draw.random()))
            currency = "JPY" if step % 13 == 6 else "GBP"
            day.sale(str(step), second, price, seller=seller, category=category, currency=currency)
    return day


def refunds_and_duplicates() -> Day:
    """What is told twice, taken back, taken back first, told late, or at the same moment."""
    day = Day()
    day.listing("first", 0.0)  # nothing was sold yet
    day.sale("1", 0.2, 1_000)
    day.sale("1", 0.2, 1_000)  # twice
    day.sale("2", 0.4, 5_003)
    day.sale("3", 0.6, 77_777, seller="bob", category="Clothing > Shoes")
    day.listing("before", 0.8)
    day.refund("2", 1.0)
    day.refund("2", 1.2)  # twice
    day.listing("after", 1.4)
    day.sale("2", 1.6, 5_003, raw={"sold_at": day.at(0.4)})  # a late copy of what was taken back
    day.refund("4", 1.8)  # before its sale
    day.sale("4", 2.0, 9_000)
    day.listing("annulled", 2.2)
    day.refund("never", 2.4)  # of a sale that nobody tells of
    day.sale("5", 2.6, 300, listing="own")
    day.sale("5", 2.6, 450, listing="other", category="Clothing > Shoes")  # one payment, two things
    day.listing("own", 3.0)  # announced after it was sold
    day.sale("6", 3.4, 64_000, currency="JPY")
    day.sale("7", 4.0, 123_456)
    day.sale("late", 3.1, 88)  # appended after what is later
    day.listing("same-moment", 4.0)
    day.listing("then", 4.6)
    day.refund("3", 5.0, seller="bob")  # nothing of bob's is left
    day.listing("empty-seller", 5.2, seller="bob", category="Clothing > Shoes")
    day.refund("5", 5.4, listing="other")
    day.listing("empty-category", 5.8, seller="bob", category="Clothing > Shoes")
    for number in range(10, 20):
        day.sale(str(number), 6 + number / 20, 2_000 + 37 * number, seller="Zoë")
        if number % 2:
            day.refund(str(number), 6 + number / 20 + 0.01, seller="Zoë")
    day.listing("last", 7.4, seller="Zoë")
    day.listing("yen", 7.6, currency="JPY")
    day.sale("20", 8.0, 10**15)
    return day


def poison() -> Day:
    """Every kind of bad record among good ones."""
    day = Day()
    day.sale("1", 0.1, 1_000)

    def headers(second: float) -> list[tuple[str, str]]:
        return day.headers("bad", second, "item.sold")

    transactions = "transactions"
    day.add(transactions, 0.3, "ann", b"", headers(0.3))
    day.add(transactions, 0.5, "ann", None, headers(0.5))
    day.add(transactions, 0.7, "ann", b"not JSON", headers(0.7))
    nonsense = bytes(range(128, 256)) * 3
    day.add(transactions, 0.9, None, nonsense, headers(0.9))
    day.add(transactions, 1.1, "ann", b'{"listing_id": 3}', headers(1.1))
    day.add(transactions, 1.3, "ann", b"{}", [])
    day.sale("no-type", 1.5, 1, headers=[h for h in headers(1.5) if h[0] != "ce_type"])
    day.sale("version", 1.7, 1, headers=day.headers("bad", 1.7, "item.sold", version=9))
    day.sale("2", 2.0, 3_000)
    day.listing("one", 2.2)
    day.sale("negative", 2.4, -5)
    day.sale("zero", 2.6, 0)
    day.sale("enormous", 2.8, 10**30)
    day.sale("pence", 3.0, 1, raw={"price_minor": 12.5})
    day.sale("currency", 3.2, 1, currency="XXX")
    day.sale("no-zone", 3.4, 1, raw={"sold_at": "2026-03-02T08:00:00"})
    day.sale("future", 10**9, 1, sent_at=3.6)
    day.sale("1", 3.8, 1_001, raw={"sold_at": day.at(0.1)})  # known, and otherwise
    day.sale("3", 4.0, 5_000, raw={"colour": "unknown fields are no fault"})
    day.listing("two", 4.5)
    day.listing("no-photos", 5.0, images=[])
    day.listing("no-scheme", 5.2, images=[{"uri": "photo.jpg"}])
    sold = day.headers("sold", 5.4, "item.sold")
    day.add("listing.created", 5.4, "ann", b"{}", sold)  # of the other topic
    day.listing("three", 6.0)
    day.sale("4", 6.5, 7_000)
    day.listing("four", 7.0)
    day.sale("5", 8.0, 9_000)
    return day


def restart() -> Day:
    """A day in the middle of which the workers are killed."""
    day, draw = Day(), random.Random(23)
    for step in range(56):
        second = step / 7
        seller, category = SELLERS[step * 5 % 3], CATEGORIES[step * 3 % 7 % 3]
        if step % 4 == 3:
            photo = ("red 192", "red 128", "broken")[step % 3]
            day.listing(f"new-{step}", second, photo, seller=seller, category=category)
        elif step % 9 == 8:
            day.refund(str(step - 2), second, seller=SELLERS[(step - 2) * 5 % 3])
        else:
            price = int(10 ** (2 + 4 * draw.random()))
            day.sale(str(step), second, price, seller=seller, category=category)
    return day


DAYS: dict[str, Callable[[], Day]] = {
    "normal-day": normal_day,
    "refunds-and-duplicates": refunds_and_duplicates,
    "poison": poison,
    "restart": restart,
}


@pytest.fixture(params=DAYS)
def day(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The name of a day and the text of its log as the code here makes it."""
    return request.param, DAYS[request.param]().text()


@pytest.fixture(scope="session")
def log_file() -> Callable[[str], Path]:
    """Gives the committed log of a day."""
    return lambda name: LOGS / f"{name}.jsonl"


@pytest.fixture(scope="session")
def photos() -> dict[str, str]:
    """The URIs of the photos by what they are."""
    return PHOTOS
