"""All that the stats worker writes for two days, byte for byte against a recount."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Reason = tuple[str, str, str]  # stage, error class, message

SOLD, LISTED = "com.secondsight.item.sold.v1", "com.secondsight.listing.created.v1"


def not_an_event(message: str) -> Reason:
    return "decode", "EventError", message


def missing(headers: str) -> Reason:
    return not_an_event(
        f"missing headers: {headers} (CloudEvents 1.0 in binary content mode is expected)"
    )


# What the dead letters of the day "poison" say, by topic and offset.
POISON: dict[str, dict[int, Reason]] = {
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
            "1000 minor units of GBP by 'ann' in 'Toys', sold at 1772438400100 ms since 1970",
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


def test_refunds_and_duplicates(
    system: Any,
    play: Callable[..., None],
    recount: Callable[..., Any],
    log_file: Callable[[str], Path],
) -> None:
    log = log_file("refunds-and-duplicates")
    expected = recount(log)
    play(log, "stats")
    expected.until_applied(system)
    system.stop()
    expected.check(system, {})


def test_poison(
    system: Any,
    play: Callable[..., None],
    recount: Callable[..., Any],
    log_file: Callable[[str], Path],
) -> None:
    log = log_file("poison")
    expected = recount(log, bad=POISON)
    for topic, reasons in POISON.items():
        assert [line["offset"] for line in expected.rejected[topic]] == list(reasons)
    play(log, "stats")
    expected.until_applied(system)
    system.stop()
    expected.check(system, POISON)
