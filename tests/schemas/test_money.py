import json
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.currencies import MINOR_UNIT_DIGITS
from schemas.errors import CurrencyError
from schemas.money import MAX_MINOR_UNITS, Money, minor_unit_digits

DIGITS = {"JPY": 0, "GBP": 2, "KWD": 3}


def half_even(number: Fraction) -> int:
    whole, rest = divmod(number, 1)
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2 == 1)
    return int(whole) + int(up)


@given(
    st.sampled_from(sorted(DIGITS)),
    st.integers(0, 10**11),
    st.one_of(st.text("0123456789", max_size=40), st.sampled_from(["5", "005", "015", "0005"])),
)
def test_text_to_minor_units(currency: str, whole: int, decimals: str) -> None:
    text = f"{whole}.{decimals}"
    exact = Fraction(whole) + (Fraction(int(decimals), 10 ** len(decimals)) if decimals else 0)
    expected = half_even(exact * 10 ** DIGITS[currency])
    if expected == 0:
        with pytest.raises(ValueError, match="greater than or equal to 1"):
            Money.from_decimal_text(text, currency)
    else:
        assert Money.from_decimal_text(text, currency) == Money(
            amount_minor=expected, currency=currency
        )


@given(st.sampled_from(sorted(DIGITS)), st.integers(1, MAX_MINOR_UNITS))
def test_the_way_there_and_back(currency: str, minor: int) -> None:
    money = Money(amount_minor=minor, currency=currency)
    amount = money.to_decimal()
    assert amount * 10 ** DIGITS[currency] == minor
    assert amount == amount.quantize(Decimal(1).scaleb(-DIGITS[currency]), ROUND_HALF_EVEN)
    assert Money.from_decimal_text(str(amount), currency) == money


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.5", "GBP", 1250),
        (" 12 ", "GBP", 1200),
        ("0.125", "GBP", 12),
        ("0.135", "GBP", 14),
        ("2.5", "JPY", 2),
        ("3.5", "JPY", 4),
        ("1.2345", "KWD", 1234),
        ("1e3", "JPY", 1000),
        (".5", "GBP", 50),
        ("1.", "GBP", 100),
        ("1.01499999999999999999999999999999999999999999999999999999", "GBP", 101),
        ("10000000000000.00", "GBP", 10**15),
    ],
)
def test_by_hand(text: str, currency: str, minor: int) -> None:
    assert Money.from_decimal_text(text, currency).amount_minor == minor


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "0", "-5", "0.004", "nan", "inf", "-inf", "1e99", "1e999", "1e-999", "1,5"),
        *("1_000", "£5", "5 GBP", "0x10", "٣", "１２", "10000000000000.01", "9" * 65, "1" * 5000),
        *("--1", "."),
    ],
)
def test_what_is_no_price(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the texts differ
        Money.from_decimal_text(text, "GBP")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("currency", ["", "gbp", "XXX", "GB", "GBPP", "DEM"])
def test_unknown_currency(currency: str) -> None:
    with pytest.raises(CurrencyError, match="not an ISO 4217"):
        minor_unit_digits(currency)
    with pytest.raises(ValidationError, match="currency"):
        Money(amount_minor=1, currency=currency)


@pytest.mark.parametrize(
    "amount", ["1.0", "true", '"1"', "0", "-1", str(10**15 + 1), "1e3", "null"]
)
def test_amount_is_a_whole_number_in_range(amount: str) -> None:
    with pytest.raises(ValidationError, match="amount_minor"):
        Money.model_validate_json(f'{{"amount_minor": {amount}, "currency": "GBP"}}')


def test_table_of_currencies() -> None:
    assert {digits: MINOR_UNIT_DIGITS[code] for code, digits in DIGITS.items()} == {
        0: 0,
        2: 2,
        3: 3,
    }
    assert all(len(code) == 3 and code.isupper() for code in MINOR_UNIT_DIGITS)


def test_for_people() -> None:
    assert str(Money(amount_minor=123456, currency="GBP")) == "1,234.56 GBP"
    assert str(Money(amount_minor=1234, currency="JPY")) == "1,234 JPY"
    assert json.loads(Money(amount_minor=5, currency="KWD").model_dump_json()) == {
        "amount_minor": 5,
        "currency": "KWD",
    }
