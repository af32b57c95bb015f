"""The key of a statistic: whose prices, in which currency."""

from typing import NamedTuple, Self

from schemas.statistics import Scope
from stats_store.errors import CorruptRecordError

_CODES = {Scope.CATEGORY: b"c", Scope.GLOBAL: b"g", Scope.SELLER: b"s"}
_SCOPES = {code: scope for scope, code in _CODES.items()}
_CURRENCY = slice(1, 4)


class ScopeKey(NamedTuple):
    """A scope, a currency and the name of the seller or category ("" for the global scope).

    The byte form keeps the order of the keys, and its first byte tells the scope.
    """

    scope: Scope
    currency: str
    name: str

    @classmethod
    def seller(cls, currency: str, seller_id: str) -> Self:
        """Return the key of one seller's sold prices."""
        return cls(Scope.SELLER, currency, seller_id)

    @classmethod
    def category(cls, currency: str, category: str) -> Self:
        """Return the key of one category's sold prices."""
        return cls(Scope.CATEGORY, currency, category)

    @classmethod
    def overall(cls, currency: str) -> Self:
        """Return the key of all sold prices of a currency."""
        return cls(Scope.GLOBAL, currency, "")

    def to_bytes(self) -> bytes:
        """Return the byte form: one byte for the scope, the currency, the name in UTF-8."""
        return _CODES[self.scope] + self.currency.encode() + self.name.encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the byte form.

        Raises:
            CorruptRecordError: the bytes are not the byte form of a key.
        """
        try:
            scope = _SCOPES[data[:1]]
            currency = data[_CURRENCY].decode("ascii")
            name = data[4:].decode()
        except (KeyError, UnicodeDecodeError):
            raise CorruptRecordError(f"{data[:40]!r} is not the key of a statistic") from None
        if len(currency) != 3 or (scope is Scope.GLOBAL) is not (name == ""):
            raise CorruptRecordError(f"{data[:40]!r} is not the key of a statistic")
        return cls(scope, currency, name)
