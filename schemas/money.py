"""Money: an integer in minor units and the ISO 4217 currency it is in."""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.functional_validators import AfterValidator

from schemas.currencies import MINOR_UNIT_DIGITS
from schemas.errors import CurrencyError

MAX_MINOR_UNITS = 10**15  # exact in a double, and far above any second-hand price

_MAX_TEXT = 64
_EXACT = Context(prec=2 * _MAX_TEXT + 8)  # enough that only the wanted rounding happens
_plain_number = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?").fullmatch


def minor_unit_digits(currency: str) -> int:
    """Return the number of decimals of an ISO 4217 currency: GBP 2, JPY 0, KWD 3.

    Raises:
        CurrencyError: the code is not an active ISO 4217 currency.
    """
    try:
        return MINOR_UNIT_DIGITS[currency]
    except KeyError:
        raise CurrencyError(f"{currency!r} is not an ISO 4217 currency code") from None


def _known_currency(code: str) -> str:
    if code not in MINOR_UNIT_DIGITS:
        raise ValueError(f"{code!r} is not an ISO 4217 currency code")
    return code


Currency = Annotated[
    str,
    Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 currency code", examples=["GBP"]),
    AfterValidator(_known_currency),
]
"""An ISO 4217 currency code, upper case, checked against the list of active currencies."""

PriceMinor = Annotated[
    int,
    Field(ge=1, le=MAX_MINOR_UNITS, strict=True, description="price in minor units (pence, cents)"),
]
"""A price in minor units; a price of zero is a gift, not a price."""


class Money(BaseModel):
    """An amount in the minor units of its currency, at least one unit.

    Amounts of two currencies never meet: there is no arithmetic here on purpose, and a
    statistic carries its currency as part of its scope.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    amount_minor: PriceMinor
    currency: Currency

    @classmethod
    def from_decimal_text(cls, text: str, currency: str) -> "Money":
        """Read a price in whole currency units, as datasets write it ("12.5").

        More decimals than the currency has are rounded half to even.

        Raises:
            CurrencyError: the currency is unknown.
            ValueError: the text is not a finite number, or the amount is outside
                1..MAX_MINOR_UNITS (pydantic's ValidationError is a ValueError).
        """
        digits = minor_unit_digits(currency)
        text = text.strip()
        if len(text) > _MAX_TEXT or not _plain_number(text):
            raise ValueError(f"price {text[:_MAX_TEXT]!r} is not a number")
        amount = Decimal(text)
        if abs(amount.adjusted()) > _MAX_TEXT:
            raise ValueError(f"price {text!r} is not of a sensible size")
        minor = int(amount.scaleb(digits, _EXACT).to_integral_value(ROUND_HALF_EVEN))
        return cls(amount_minor=minor, currency=currency)

    def to_decimal(self) -> Decimal:
        """Return the amount in whole currency units."""
        return Decimal(self.amount_minor).scaleb(-minor_unit_digits(self.currency))

    def __str__(self) -> str:
        return f"{self.to_decimal():,f} {self.currency}"
