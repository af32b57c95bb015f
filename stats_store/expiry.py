"""Remembered sales that have expired are let go little by little, a few with every batch."""

from stats_store.backend.protocol import Backend
from stats_store.changelog import PACK_DAYS_PREFIX, Family
from stats_store.ledger import Ledger
from stats_store.rules import Rules
from stats_store.sales import SaleState, read_sale

_SALES = Family.SALES.value
_SWEPT = 200  # entries looked at in a batch
_DAY_BYTES = 4


class Expiry:
    """Finds what of the durable sales is not remembered any more, by the days of the ledger.

    Reversals that wait too long are the ledger's own, and days that left a window the window's.
    """

    def __init__(self, backend: Backend, ledger: Ledger, rules: Rules) -> None:
        self._backend = backend
        self._ledger = ledger
        self._rules = rules
        self._swept_to = _SALES

    def forgotten_sales(self) -> list[tuple[bytes, bytes]]:
        """Return deletions of a few sales that are older than they are to be remembered."""
        if not self._rules.sale_days:
            return []
        entries = self._backend.scan_from(self._swept_to, limit=_SWEPT)
        self._swept_to = entries[-1][0] + b"\0" if len(entries) == _SWEPT else _SALES
        changed = dict(self._ledger.sales.changes())
        return [
            (key, b"")
            for key, record in entries
            if key not in changed
            and (sale := read_sale(record)).state is not SaleState.PARKED
            and not self._ledger.remembers(sale)
        ]

    def packs_gone(self) -> list[tuple[bytes, bytes]]:
        """Return a few records of packed sales of which all have expired: own entry, key."""
        if not (self._rules.sale_days and self._rules.parked_days):
            return []  # something in them is remembered for ever
        kept = max(self._rules.sale_days, self._rules.parked_days)
        start = len(PACK_DAYS_PREFIX)
        gone = []
        # Those of day 0, before the first sale, hold reversals that wait on.
        first = PACK_DAYS_PREFIX + (1).to_bytes(_DAY_BYTES, "big")
        for entry, _ in self._backend.scan_from(first, limit=_SWEPT):
            day = int.from_bytes(entry[start : start + _DAY_BYTES], "big")
            if not entry.startswith(PACK_DAYS_PREFIX) or day >= self._ledger.today - kept:
                break
            gone.append((entry, entry[start + _DAY_BYTES :]))
        return gone
