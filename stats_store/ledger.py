"""What a sale and its reversal do: count once, take back what was counted, wait for each other."""

from collections.abc import Iterable

import msgspec

from schemas.sale import SaleReversed
from stats_store.backend.protocol import Backend
from stats_store.changelog import DAY_KEY, FORGOTTEN_KEY, PARKED_PREFIX, Change
from stats_store.counting import Counts
from stats_store.errors import LateSaleError, SaleConflictError
from stats_store.identity import local_number, read_local_number
from stats_store.rules import Rules
from stats_store.sale_table import SaleTable
from stats_store.sales import (
    ReversalOutcome,
    SaleOutcome,
    SaleRecord,
    SaleState,
    Sold,
    day_of,
    milliseconds,
    parked_record,
    read_sale,
    sale_key,
    sold_content,
    sold_record,
    with_state,
)

_EXPIRED_AT_ONCE = 200  # entries looked at in a batch
_DAY_BYTES = 4
_CORRECTIONS = 8  # of a category, so that a record stays small
_WIDE = slice(1, None)  # of the scopes of a sale, those of other sellers, too


class Posting(msgspec.Struct, frozen=True, gc=False):
    """A sale with what it takes to enter it: the key of its record, its time and its scopes."""

    sale: Sold
    key: bytes
    at_ms: int
    day: int
    scopes: tuple[bytes, bytes, bytes]


class Ledger:
    """Applies sales and reversals to the remembered sales and to the counts.

    All is provisional until `committed`. `today` is the latest day of a sale that was applied, or
    that another partition told of: the time by which windows move and memories expire. It never
    goes back, and no clock is asked, so that a replay comes to the same state.
    """

    def __init__(self, backend: Backend, counts: Counts, rules: Rules) -> None:
        self.sales = SaleTable(backend)
        self.changed_parts: set[bytes] = set()  # entries of categories and overall
        self.expired_reversals = 0  # since this ledger was made
        self._backend = backend
        self._counts = counts
        self._rules = rules
        self.load()

    def load(self) -> None:
        """Read what is durable anew."""
        stored = self._backend.get(DAY_KEY)
        self.today = self.durable_today = 0 if stored is None else read_local_number(stored)
        stored = self._backend.get(FORGOTTEN_KEY)
        self._forgotten = 0 if stored is None else read_local_number(stored)
        self._parked_changes: dict[bytes, bytes | None] = {}
        self._durable_parked: int | None = None  # not counted yet: there may be many
        self._expiring = 0

    @property
    def parked(self) -> int:
        """How many reversals wait for their sale."""
        if self._durable_parked is None:
            self._durable_parked = len(self._backend.scan(PARKED_PREFIX))
        changes = self._parked_changes.values()
        return self._durable_parked + sum(1 if value is not None else -1 for value in changes)

    def look_up(self, sales: Iterable[Sold]) -> list[Posting]:
        """Prepare sales, and look up at once what will be asked for when they are applied."""
        postings = []
        for sale in sales:
            at_ms = milliseconds(sale.sold_at)
            key = sale_key(sale.listing_id, sale.transaction_id)
            postings.append(Posting(sale, key, at_ms, day_of(at_ms), scopes_of(sale)))
        self.sales.fetch([posting.key for posting in postings])
        # Of sellers there are many; what there is of the wider scopes is at hand.
        self._counts.fetch({(posting.scopes[0], posting.day) for posting in postings})
        return postings

    def advance(self, day: int) -> bool:
        """Take note of a day; say whether it is a new one."""
        if day <= self.today:
            return False
        self.today = day
        return True

    def apply_sale(self, posting: Posting) -> SaleOutcome:
        """Count a sale once; see `PartitionStore.apply_sale`."""
        day, before = posting.day, self.today
        if self._forgets and 0 < self._forgotten_to() >= day:
            sale = posting.sale
            raise LateSaleError(
                f"listing {sale.listing_id!r} was sold on {sale.sold_at:%Y-%m-%d}, and sales of "
                f"that day are not remembered any more: it may have been counted before"
            )
        record = self.sales.get(posting.key)
        if day > before:
            self.today = day
        if record is None:
            self._count(posting)
            return SaleOutcome.COUNTED
        try:
            return self._apply_known(posting, record)
        except SaleConflictError:
            self.today = before
            raise

    def apply_reversal(self, reversal: SaleReversed) -> ReversalOutcome:
        """Take a sale back, whole or in part; see `PartitionStore.apply_reversal`."""
        key = sale_key(reversal.listing_id, reversal.transaction_id)
        record = self.sales.get(key)
        known = None if record is None else read_sale(record)
        if known is None or not self.remembers(known):
            self._park(key, reversal)
            return ReversalOutcome.PARKED
        if known.state is SaleState.REVERSED:
            return ReversalOutcome.DUPLICATE
        refunded = reversal.refunded_minor
        if known.state is SaleState.PARKED:
            if known.refunded_minor is not None and _more(refunded, known.refunded_minor):
                self._park(key, reversal)
            return ReversalOutcome.DUPLICATE
        if not _more(refunded, known.refunded_minor or 0):
            return ReversalOutcome.DUPLICATE
        self._uncount(known)
        if refunded is None or refunded >= known.price_minor:
            self.sales.put(key, sold_record(known._replace(state=SaleState.REVERSED)))
            return ReversalOutcome.TAKEN_BACK
        self._recount(key, known._replace(refunded_minor=refunded))
        return ReversalOutcome.TAKEN_BACK_IN_PART

    def remembers(self, known: SaleRecord) -> bool:
        """Whether a record counts as known; one that has expired may still be there, or not."""
        if known.state is SaleState.PARKED:
            return not self._has_expired(known)
        return known.day > self._forgotten_to() or not self._forgotten_to()

    def counted_scopes(self, sale: SaleRecord) -> tuple[bytes, ...]:
        """Return the entries in which the price of a remembered sale is counted now."""
        if not sale.counts or self._has_left(sale.day) or not self.remembers(sale):
            return ()
        scopes = scopes_of(sale)
        return scopes[:1] if sale.state is SaleState.NARROW else scopes

    def changes(self) -> list[Change]:
        """Return the changes besides those of sales and counts, and let go of what expired."""
        self._expire_parked()
        changes: list[Change] = list(self._parked_changes.items())
        if self.today != self.durable_today:
            changes.append((DAY_KEY, local_number(self.today)))
        if self._forgotten_to() != self._forgotten:
            changes.append((FORGOTTEN_KEY, local_number(self._forgotten_to())))
        return changes

    def committed(self) -> None:
        """Take note that the changes are durable."""
        if self._durable_parked is not None:
            self._durable_parked = self.parked
        self._parked_changes = {}
        self.durable_today = self.today
        self._forgotten = self._forgotten_to()
        self.expired_reversals += self._expiring
        self._expiring = 0
        self.sales.forget()

    def rolled_back(self) -> None:
        """Forget the changes."""
        self._parked_changes = {}
        self._expiring = 0
        self.today = self.durable_today
        self.sales.forget()

    # --- sales ---------------------------------------------------------------------------

    def _apply_known(self, posting: Posting, record: bytes) -> SaleOutcome:
        content = sold_content(posting.sale, posting.at_ms)
        if record[1:] == content:
            return SaleOutcome.DUPLICATE
        known = read_sale(record)
        if known.state is SaleState.PARKED:
            return self._meet(posting, known, content)
        if not self.remembers(known):
            self._count(posting)
            return SaleOutcome.COUNTED
        return self._again(posting, known, content)

    def _meet(self, posting: Posting, parked: SaleRecord, content: bytes) -> SaleOutcome:
        """Apply a sale whose reversal came first."""
        self._unpark(posting.key, parked)
        if not self.remembers(parked):
            self._count(posting)
            return SaleOutcome.COUNTED
        if parked.refunded_minor is None or parked.refunded_minor >= posting.sale.price_minor:
            self.sales.put(posting.key, with_state(SaleState.REVERSED, content))
            return SaleOutcome.ANNULLED
        sold = read_sale(with_state(self._state_of_new(posting.scopes[0]), content))
        self._recount(posting.key, sold._replace(refunded_minor=parked.refunded_minor))
        return SaleOutcome.COUNTED

    def _again(self, posting: Posting, known: SaleRecord, content: bytes) -> SaleOutcome:
        """Apply a sale of known ids that is not told as it was last: a correction, or a copy."""
        sale, key = posting.sale, posting.key
        told = read_sale(with_state(known.state, content))
        if told != known._replace(
            category=told.category, former_categories=(), refunded_minor=None
        ):
            raise SaleConflictError(
                f"listing {sale.listing_id!r} was sold in transaction {sale.transaction_id!r} "
                f"before, and otherwise: {_told(known)}"
            )
        if told.category in (known.category, *known.former_categories):
            return SaleOutcome.DUPLICATE
        if len(known.former_categories) >= _CORRECTIONS:
            raise SaleConflictError(
                f"the category of listing {sale.listing_id!r}, transaction "
                f"{sale.transaction_id!r}, has been corrected {_CORRECTIONS} times: no more"
            )
        corrected = known._replace(
            category=told.category, former_categories=(*known.former_categories, known.category)
        )
        if known.state is SaleState.REVERSED:
            self.sales.put(key, sold_record(corrected))
        else:
            self._uncount(known)
            self._recount(key, corrected)
        return SaleOutcome.CORRECTED

    # --- counting ------------------------------------------------------------------------

    def _count(self, posting: Posting) -> None:
        sale, scopes = posting.sale, posting.scopes
        state = self._state_of_new(scopes[0]) if self._rules.seller_cap else SaleState.SOLD
        counted: tuple[bytes, ...] = scopes[:1] if state is SaleState.NARROW else scopes
        if not (self._rules.window_days and self._has_left(posting.day)):
            self._counts.add(counted, posting.day, sale.price_minor)
            self.changed_parts.update(counted[_WIDE])
        self.sales.put(posting.key, with_state(state, sold_content(sale, posting.at_ms)))

    def _recount(self, key: bytes, sold: SaleRecord) -> None:
        """Count a sale that does not count now, less what was refunded, and remember it."""
        price = sold.price_minor - (sold.refunded_minor or 0)
        scopes = self.counted_scopes(sold)
        self._counts.add(scopes, sold.day, price)
        self.changed_parts.update(scopes[_WIDE])
        self.sales.put(key, sold_record(sold))

    def _uncount(self, sold: SaleRecord) -> None:
        scopes = self.counted_scopes(sold)
        self._counts.remove(scopes, sold.day, sold.price_minor - (sold.refunded_minor or 0))
        self.changed_parts.update(scopes[_WIDE])

    def _state_of_new(self, seller: bytes) -> SaleState:
        cap = self._rules.seller_cap
        counted = self._counts.get(seller, self.today) if cap else None
        return SaleState.NARROW if counted and counted.count >= cap else SaleState.SOLD

    def _forgotten_to(self) -> int:
        """Return the latest day whose sales are not remembered any more; 0 where all are.

        It is stored: a longer memory, chosen later, does not bring back what was forgotten.
        """
        days = self._rules.sale_days
        return max(self._forgotten, self.today - days if days else 0)

    @property
    def _forgets(self) -> bool:
        return bool(self._rules.sale_days or self._forgotten)

    def _has_left(self, day: int) -> bool:
        return 0 < self._rules.window_days <= self.today - day

    # --- reversals that wait -------------------------------------------------------------

    def _park(self, key: bytes, reversal: SaleReversed) -> None:
        record = self.sales.get(key)
        if record is not None:
            self._unpark(key, read_sale(record))
        # It waits from now on, whenever it was made: else it would matter which of the two a
        # late delivery brings first. Before the first sale no day is known, and it waits on.
        parked = parked_record(reversal, self.today)
        self.sales.put(key, parked)
        self._index(_parked_key(key, read_sale(parked)), b"")

    def _unpark(self, key: bytes, parked: SaleRecord) -> None:
        self._index(_parked_key(key, parked), None)

    def _index(self, entry: bytes, value: bytes | None) -> None:
        if self._backend.get(entry) == value:
            self._parked_changes.pop(entry, None)
        else:
            self._parked_changes[entry] = value

    def _has_expired(self, parked: SaleRecord) -> bool:
        return parked.day > 0 and 0 < self._rules.parked_days < self.today - parked.day

    def _expire_parked(self) -> None:
        if not self._rules.parked_days:
            return
        first = PARKED_PREFIX + (1).to_bytes(_DAY_BYTES, "big")
        for index, _ in self._backend.scan_from(first, limit=_EXPIRED_AT_ONCE):
            if not index.startswith(PARKED_PREFIX):
                return
            key = index[len(PARKED_PREFIX) + _DAY_BYTES :]
            day = int.from_bytes(index[len(PARKED_PREFIX) :][:_DAY_BYTES], "big")
            if self.today - day <= self._rules.parked_days:
                return
            if index in self._parked_changes:
                continue
            self._parked_changes[index] = None
            record = self.sales.get(key)
            known = None if record is None else read_sale(record)
            if known and known.state is SaleState.PARKED and _parked_key(key, known) == index:
                self.sales.forget_sale(key)
                self._expiring += 1


def scopes_of(sale: Sold | SaleRecord) -> tuple[bytes, bytes, bytes]:
    """Return the entries of the three scopes of a sale: seller, category, overall."""
    money = sale.currency
    return (
        f"hs{money}{sale.seller_id}".encode(),
        f"hc{money}{sale.category}".encode(),
        f"hg{money}".encode(),
    )


def _parked_key(key: bytes, parked: SaleRecord) -> bytes:
    return PARKED_PREFIX + parked.day.to_bytes(_DAY_BYTES, "big") + key


def _more(refunded: int | None, than: int) -> bool:
    """Say whether a refund, None for all, is more than what has been refunded."""
    return refunded is None or refunded > than


def _told(sale: SaleRecord) -> str:
    return (
        f"{sale.price_minor} minor units of {sale.currency} by {sale.seller_id!r} in "
        f"{sale.category!r}, sold at {sale.at_ms} ms since 1970"
    )
