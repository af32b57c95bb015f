"""What counts, and for how long: the choices of an operator that the state depends on."""

import struct
from dataclasses import dataclass
from typing import Self

from stats_store.backend.protocol import Backend
from stats_store.changelog import RULES_KEY, Change
from stats_store.errors import StoreMismatchError

_STORED = struct.Struct("<II")  # window, cap


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How sales are counted. All times are those of the events, in whole days of UTC.

    The first two shape what is stored, so they are stored beside it. The others may change.

    Attributes:
        window_days: statistics are of the sales of the last that many days, the latest day that
            the partition knows of included; 0: of all time.
        seller_cap: of each seller only so many sales in a currency count for category and
            overall, the earliest ones, so that one seller alone moves no one else's prices
            further; 0: all of them.
        sale_days: a sale is remembered for that long, so that it counts once and can be taken
            back; an older one is refused when it comes, as nobody can tell whether it has been
            counted. 0: for ever.
        parked_days: a reversal waits for its sale for that long. 0: for ever.
    """

    window_days: int = 0
    seller_cap: int = 0
    sale_days: int = 0
    parked_days: int = 90

    @classmethod
    def stored(cls, backend: Backend) -> Self:
        """Return the rules that a store was counted by, the others by default."""
        found = backend.get(RULES_KEY)
        window, cap = _STORED.unpack(found) if found is not None else (0, 0)
        return cls(window_days=window, seller_cap=cap)

    def check_stored(self, backend: Backend) -> None:
        """Refuse a store that was counted by other rules.

        Raises:
            StoreMismatchError: it was.
        """
        stored = self.stored(backend)
        for name, setting in (("window_days", "WINDOW_DAYS"), ("seller_cap", "SELLER_CAP")):
            was, wanted = getattr(stored, name), getattr(self, name)
            if was != wanted and (backend.get(RULES_KEY) is not None or _has_counted(backend)):
                raise StoreMismatchError(
                    f"the statistics were counted with SECONDSIGHT_{setting}={was}, not {wanted}: "
                    f"set it back, or count anew from the first sale under another topic prefix"
                )

    def change(self) -> Change:
        """Return the record by which the changelog and the store tell the rules."""
        return RULES_KEY, _STORED.pack(self.window_days, self.seller_cap)


def _has_counted(backend: Backend) -> bool:
    return bool(backend.scan_from(b"h", limit=1))
