from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letter import MAX_KEPT_BYTES, DeadLetter, attempts_before, dead_letter_topic
from schemas.errors import EventError

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
OWN = [("ce_id", b"1"), ("ce_id", b"2"), ("empty", None), ("raw", b"\xff\x00")]


def letter(**changes: Any) -> DeadLetter:
    fields: dict[str, Any] = {
        "topic": "listing.created",
        "partition": 3,
        "offset": 2**40,
        "stage": "decode",
        "error_class": "EventError",
        "message": "currency: Field required",
        "failed_at": AT,
    }
    return DeadLetter(**fields | changes)


def test_headers() -> None:
    assert letter().to_headers() == [
        ("dead_letter_topic", b"listing.created"),
        ("dead_letter_partition", b"3"),
        ("dead_letter_offset", b"1099511627776"),
        ("dead_letter_stage", b"decode"),
        ("dead_letter_error_class", b"EventError"),
        ("dead_letter_message", b"currency: Field required"),
        ("dead_letter_attempt", b"1"),
        ("dead_letter_failed_at", b"2026-01-31T12:00:00Z"),
    ]


@pytest.mark.parametrize("key", [None, b"", b"s-1"])
@pytest.mark.parametrize("value", [None, b"", b"\xff" * 1000])
def test_the_record_stays_as_it_was(key: bytes | None, value: bytes | None) -> None:
    new_key, new_value, headers = letter().set_aside(key, value, OWN)
    assert (new_key, new_value) == (key, value)
    assert headers[: len(OWN)] == OWN
    assert headers[len(OWN) :] == letter().to_headers()
    assert DeadLetter.from_headers(headers) == letter()


def test_a_record_without_headers() -> None:
    assert letter().set_aside(b"k", b"v", None) == (b"k", b"v", letter().to_headers())


def test_a_dead_letter_of_a_dead_letter_says_what_failed_last() -> None:
    _, _, first = letter(omitted_bytes=5).set_aside(b"k", b"v", OWN)
    assert attempts_before(first) == 1
    again = letter(stage="process", offset=7, attempt=attempts_before(first) + 1)
    _, _, second = again.set_aside(b"k", b"v", first)
    assert second == [*OWN, *again.to_headers()]
    assert DeadLetter.from_headers(second) == again
    assert attempts_before(second) == 2
    assert DeadLetter.from_headers([*first, *again.to_headers()]).attempt == 2


def test_topic_names() -> None:
    assert dead_letter_topic("listing.created") == "listing.created.dead-letter"
    assert dead_letter_topic("listing.created.dead-letter") == "listing.created.dead-letter"


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (b"", b"x" * (MAX_KEPT_BYTES + 1), []),
        (b"x" * (MAX_KEPT_BYTES + 1), None, []),
        (b"", b"x" * MAX_KEPT_BYTES, [("h", b"")]),
        (None, None, [("h" * MAX_KEPT_BYTES, b"x")]),
    ],
)
def test_of_a_record_that_is_too_large_only_the_place_is_kept(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    new_key, new_value, kept = letter().set_aside(key, value, headers)
    assert (new_key, new_value) == (None, None)
    assert DeadLetter.from_headers(kept) == letter(omitted_bytes=MAX_KEPT_BYTES + 1)


def test_the_largest_record_is_kept() -> None:
    value = b"x" * (MAX_KEPT_BYTES - 3)
    assert letter().set_aside(b"k", value, [("a", b"b")])[1] == value


@given(st.text(st.characters(), max_size=3000))
def test_any_message_fits(message: str) -> None:
    headers = letter(message=message).to_headers()
    text = dict(headers)["dead_letter_message"].decode()
    assert len(text) <= 2000
    assert not any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in text)
    assert DeadLetter.from_headers(headers).message == text


def test_a_message_is_cut_and_made_harmless() -> None:
    assert letter(message="x" * 5000).message == "x" * 2000
    assert letter(message="a\x1b[2J\nb\ud800é鞋").message == r"a\x1b[2J\nb\ud800é鞋"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dead_letter_partition": b"-1"}, "partition"),
        ({"dead_letter_partition": b"three"}, "partition"),
        ({"dead_letter_offset": b"9" * 5000}, "offset"),
        ({"dead_letter_topic": b"no such topic"}, "topic"),
        ({"dead_letter_failed_at": b"noon"}, "failed_at"),
        ({"dead_letter_attempt": b"0"}, "attempt"),
        ({"dead_letter_message": b"\xff"}, "not UTF-8"),
        ({"dead_letter_message": None}, "missing headers: dead_letter_message"),
    ],
)
def test_headers_that_are_made_up(changes: dict[str, bytes | None], said: str) -> None:
    headers = list({**dict(letter().to_headers()), **changes}.items())
    with pytest.raises(EventError, match=said) as caught:
        DeadLetter.from_headers(headers)
    assert len(str(caught.value)) < 2200
    assert attempts_before(headers) == 0
    assert letter().set_aside(b"k", b"v", headers)[2] == letter().to_headers()


@pytest.mark.parametrize("headers", [None, [], OWN])
def test_a_record_that_is_no_dead_letter(headers: Any) -> None:
    with pytest.raises(EventError, match="missing headers: dead_letter_topic, dead_letter_part"):
        DeadLetter.from_headers(headers)
    assert attempts_before(headers) == 0
