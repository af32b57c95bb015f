"""The errors of the contract: one root, so that a caller can catch the package."""


class SchemaError(Exception):
    """Root of every error that this package raises on purpose."""


class EventError(SchemaError):
    """A record is not an event of the contract; the message names each wrong field."""


class CurrencyError(SchemaError):
    """A currency is unknown, or two currencies were mixed."""
