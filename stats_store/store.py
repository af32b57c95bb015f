"""The statistics of one input partition: what was sold, in memory and durable."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

from schemas.sale import SaleReversed
from stats_store import changelog
from stats_store.all_time import AllTimeCounts
from stats_store.backend.options import RocksDBOptions
from stats_store.backend.protocol import Backend, Copyable
from stats_store.backend.rocksdb import RocksDBBackend
from stats_store.changelog import (
    CHANGELOG_POSITION_KEY,
    PACK_PREFIX,
    POSITION_PREFIX,
    RULES_KEY,
    Change,
    Family,
    unpack_sales,
)
from stats_store.counting import Counts
from stats_store.errors import SaleRefusedError, StoreUnusableError
from stats_store.expiry import Expiry
from stats_store.histogram import PriceHistogram
from stats_store.identity import check_identity, identity, local_number, read_local_number
from stats_store.ledger import Ledger, Posting
from stats_store.partials import DAY_NAME, PartsOfOthers
from stats_store.rules import Rules
from stats_store.sales import (
    ReversalOutcome,
    SaleOutcome,
    SaleRecord,
    Sold,
)
from stats_store.scope import ScopeKey
from stats_store.window import WindowCounts

_HISTOGRAM = Family.HISTOGRAMS.value
_PARTS = (b"c", b"g")  # first bytes of the keys of category and overall
_SALES = Family.SALES.value
_DEFAULT_RULES = Rules()
_RESTORE_BATCH = 5_000
_EMPTY = PriceHistogram().to_bytes()

ChangelogRecord = tuple[int, bytes, bytes | None]
"""A record read from the changelog: offset, key, value."""


class ListingHistograms(NamedTuple):
    """The sold prices a listing is compared with; None where there are none. To be read only."""

    seller: PriceHistogram | None
    category: PriceHistogram | None
    overall: PriceHistogram | None


class PartitionStore:
    """Sold prices of one input partition by seller, category and overall, and what was sold.

    Sales and reversals are applied in memory and stay provisional until `commit` writes them,
    the input positions and the position in the changelog in one step. `rollback` forgets them.
    The life of a batch is: apply, `set_position`, `changes` (to be written to the changelog),
    then `commit` or `rollback`. The store knows nothing of Kafka.

    One thread uses a store at a time. Any call may raise StoreUnusableError when the disk
    fails; nothing is lost then, and the store must be closed.
    """

    def __init__(
        self,
        backend: Backend,
        partition: int,
        *,
        cached_histograms: int,
        rules: Rules = _DEFAULT_RULES,
    ) -> None:
        """Use a backend that holds a store of this partition; `open` is for a folder."""
        check_identity(backend, partition)
        self.partition = partition
        self.closed = False
        self._backend = backend
        self._rules = rules
        self._rules_stored = False
        self._counts: Counts = (
            WindowCounts(backend, days=rules.window_days, kept=cached_histograms)
            if rules.window_days
            else AllTimeCounts(backend, kept=cached_histograms)
        )
        self._ledger = Ledger(backend, self._counts, rules)
        self._new_positions: dict[str, int] = {}
        self._changes: list[Change] | None = None
        self._sale_changes: list[tuple[bytes, bytes]] = []  # of the same batch, not packed
        self._other_changes: list[Change] = []
        self._pack_days: list[Change] = []
        self._expiry = Expiry(backend, self._ledger, rules)
        self._all_parts_changed = False
        self._unpublished: set[bytes] = set()
        self._unpublished_at_commit: frozenset[bytes] = frozenset()
        self._load_positions()

    @classmethod
    def open(
        cls,
        folder: Path,
        partition: int,
        *,
        options: RocksDBOptions,
        cached_histograms: int = 20_000,
        rules: Rules = _DEFAULT_RULES,
    ) -> Self:
        """Open the store in a folder of its own, which is made if need be.

        Args:
            folder: the RocksDB of this partition and nothing else.
            partition: number of the input partition.
            options: memory of RocksDB.
            cached_histograms: how many histograms are kept decoded, 1 to 10 KiB each.
            rules: what counts, and for how long.

        Raises:
            StoreLockedError: another process has it open.
            StoreMismatchError: it is of another partition, format version or program, or was
                counted by other rules.
            StoreUnusableError: it is damaged or cannot be read. Nothing was changed in it.
        """
        backend = RocksDBBackend.open(folder, options, identity(partition))
        try:
            return cls(backend, partition, cached_histograms=cached_histograms, rules=rules)
        except BaseException:
            backend.close()
            raise

    def apply_sale(self, sale: Sold) -> SaleOutcome:
        """Count a sale once. The same sale in another category corrects it.

        Raises:
            SaleConflictError: a sale of the same ids and other content is known.
            LateSaleError: it is older than sales are remembered. Nothing was changed either way.
        """
        (outcome,) = self.apply_sales(self.look_up([sale]))
        if isinstance(outcome, SaleRefusedError):
            raise outcome
        return outcome

    def look_up(self, sales: Iterable[Sold]) -> list[Posting]:
        """Prepare sales for `apply_sales`, look up at once what it asks for. Changes nothing."""
        return self._ledger.look_up(sales)

    def apply_sales(self, postings: Iterable[Posting]) -> list[SaleOutcome | SaleRefusedError]:
        """Do as `apply_sale` for each sale, in order; the error stands where that would raise."""
        self._changes = None
        day, apply = self._ledger.today, self._ledger.apply_sale
        outcomes: list[SaleOutcome | SaleRefusedError] = []
        for posting in postings:
            try:
                outcomes.append(apply(posting))
            except SaleRefusedError as error:
                outcomes.append(error)
        if self._ledger.today != day:
            self._day_changed()
        return outcomes

    def apply_reversal(self, reversal: SaleReversed) -> ReversalOutcome:
        """Take back what the sale of these ids counted for, whole or in part, once.

        One that comes before its sale is parked.
        """
        self._changes = None
        return self._ledger.apply_reversal(reversal)

    def advance(self, day: int) -> None:
        """Take note that some other partition knows of sales of a day, in days since 1970."""
        if self._ledger.advance(day):
            self._changes = None
            self._day_changed()

    @property
    def today(self) -> int:
        """The latest day that this partition knows of, in days since 1970; 0 without sales."""
        return self._ledger.today

    @property
    def parked_reversals(self) -> int:
        """How many reversals wait for their sale."""
        return self._ledger.parked

    def take_expired_reversals(self) -> int:
        """Return how many reversals have waited too long since this was last asked."""
        expired, self._ledger.expired_reversals = self._ledger.expired_reversals, 0
        return expired

    def histogram(self, key: ScopeKey) -> PriceHistogram | None:
        """Return this partition's histogram as of now, to be read only; None without sales."""
        histogram = self._counts.get(_HISTOGRAM + key.to_bytes(), self.today)
        return histogram if histogram is not None and histogram.count else None

    def sales_of(self, listing_id: str) -> list[SaleRecord]:
        """Return what is known as of now of the sales of a listing, in order of their ids."""
        return self._ledger.sales.of_listing(listing_id)

    def remembers(self, sale: SaleRecord) -> bool:
        """Whether a sale still counts as known; what has expired is deleted little by little."""
        return self._ledger.remembers(sale)

    def listing_histograms(
        self,
        *,
        listing_id: str,
        seller_id: str,
        category: str,
        currency: str,
        remote: PartsOfOthers | None = None,
    ) -> ListingHistograms:
        """Return the histograms of a listing's three scopes, without sales of the listing itself.

        `remote` adds what the other partitions have counted for the category and overall.
        """
        own = [sale for sale in self.sales_of(listing_id) if sale.counts]

        def of(key: ScopeKey) -> PriceHistogram | None:
            here = self.histogram(key)
            elsewhere = None if remote is None else remote.total(key, without=self.partition)
            name = _HISTOGRAM + key.to_bytes()
            taken = [
                sale.price_minor - (sale.refunded_minor or 0)
                for sale in own
                if name in self._ledger.counted_scopes(sale)
            ]
            if not taken and (here is None or elsewhere is None):
                return here or elsewhere
            both = PriceHistogram() if here is None else here.copy()
            both.remove_many(taken)
            if elsewhere is not None:
                both.merge(elsewhere)
            return both

        return ListingHistograms(
            of(ScopeKey.seller(currency, seller_id)),
            of(ScopeKey.category(currency, category)),
            of(ScopeKey.overall(currency)),
        )

    def position(self, topic: str) -> int | None:
        """Return the offset to read next in an input topic, None where none was stored."""
        return self._new_positions.get(topic, self._positions.get(topic))

    def set_position(self, topic: str, next_offset: int) -> None:
        """Say up to where an input topic is applied with this batch."""
        self._new_positions[topic] = next_offset
        self._changes = None

    @property
    def changelog_position(self) -> int:
        """The offset to read next in the changelog to bring this store up to date."""
        return self._changelog_position

    def changes(self) -> list[Change]:
        """Return all that changed since the last commit as records of the changelog.

        The sales come packed and first, the rest in no order.
        """
        if self._changes is None:
            others = self._ledger.changes()
            others += self._counts.changes(self.today)
            others += [changelog.position_change(*new) for new in self._new_positions.items()]
            # First of all, as a restore goes in steps and each is checked.
            rules = [self._rules.change()] if others and not self._rules_stored else []
            self._sale_changes = [*self._ledger.sales.changes(), *self._expiry.forgotten_sales()]
            # Those of the first sales may hold reversals that came before any day was known.
            day = self.today if self._ledger.durable_today else 0
            packs = changelog.pack_sales(
                self._sale_changes, position=self._changelog_position, day=day
            )
            gone = self._expiry.packs_gone()
            self._other_changes = rules + others
            self._pack_days = [changelog.pack_day(*pack) for pack in packs]
            self._pack_days += [(entry, None) for entry, _ in gone]
            self._changes = [*rules, *packs, *others, *((pack, None) for _, pack in gone)]
        return self._changes

    def commit(self, changelog_position: int) -> None:
        """Make the batch durable in one step.

        Args:
            changelog_position: offset after the last of `changes` in the changelog.

        Raises:
            RuntimeError: `changes` was not asked for after the last change, so the changelog
                cannot have it all.
        """
        if self._changes is None:
            raise RuntimeError("a batch was to be committed that the changelog has not seen")
        sales = [(key, record or None) for key, record in self._sale_changes]
        position = (CHANGELOG_POSITION_KEY, local_number(changelog_position))
        self._backend.write([*sales, *self._other_changes, *self._pack_days, position])
        self._rules_stored |= bool(self._other_changes)
        self._changelog_position = changelog_position
        self._positions |= self._new_positions
        self._new_positions = {}
        self._note_changed_parts()
        self._unpublished_at_commit = frozenset(self._unpublished)
        self._counts.committed()
        self._ledger.committed()
        self._changes = None

    def rollback(self) -> None:
        """Forget all since the last commit."""
        self._new_positions = {}
        self._unpublished = set(self._unpublished_at_commit)
        self._counts.rolled_back()
        self._ledger.rolled_back()
        self._ledger.changed_parts.clear()
        self._changes = None

    def restore(self, records: Iterable[ChangelogRecord]) -> int:
        """Apply records of the changelog in the order of their offsets; return how many.

        They are made durable batch by batch, so that a restore cut short goes on where it was.

        Raises:
            CorruptRecordError: a record is foreign; what came before its batch is applied.
        """
        remaining = iter(records)
        applied = 0
        while batch := list(islice(remaining, _RESTORE_BATCH)):
            applied += self.restore_batch(batch)
        return applied

    def restore_batch(self, records: Sequence[ChangelogRecord]) -> int:
        """Apply records of the changelog in one step with the position after them.

        Records before `changelog_position` are in the store already and are left out.
        What was not committed is rolled back. Returns how many were applied.

        Raises:
            CorruptRecordError: a record is foreign; none was applied.
        """
        self.rollback()
        new = [record for record in records if record[0] >= self._changelog_position]
        if not new:
            return 0
        latest: dict[bytes, bytes | None] = {}
        for _, key, value in new:
            family = key[:1]
            if family != _HISTOGRAM:  # most records are histograms: checked when they are read
                changelog.check(key, value)
            if family != PACK_PREFIX:
                latest[key] = value
            elif value is not None:
                latest.update((sale, record or None) for sale, record in unpack_sales(value))
                latest.update([changelog.pack_day(key, value)])
        next_offset = new[-1][0] + 1
        latest[CHANGELOG_POSITION_KEY] = local_number(next_offset)
        self._backend.write(latest.items())
        self._counts.replaced(latest.keys())
        self._load_positions()
        return len(new)

    @property
    def has_unpublished_parts(self) -> bool:
        """Whether `take_unpublished_parts` would return any."""
        self._note_changed_parts()
        return bool(self._unpublished)

    def take_unpublished_parts(self) -> list[tuple[bytes, bytes]]:
        """Return category and global histograms that changed since they were last taken.

        They are keyed by the byte form of their ScopeKey, sorted, and count as published once
        the batch is committed; after `rollback` they are unpublished again.
        """
        self._note_changed_parts()
        taken = [(key[1:], self._encoded(key)) for key in sorted(self._unpublished)]
        if taken and self._rules.window_days:
            taken.append((DAY_NAME, local_number(self.today)))
        self._unpublished = set()
        return taken

    def reconcile_parts(self, published: dict[bytes, bytes]) -> None:
        """Mark as unpublished what differs from what this partition has published.

        To be called after a restore, between batches: the parts are published less often than
        they change, so the last ones before a crash may not have been.
        """
        held = {
            key[1:]: self._encoded(key)
            for scope in _PARTS
            for key in self._counts.keys(_HISTOGRAM + scope)
        }
        for name in held.keys() | published.keys():
            if held.get(name, _EMPTY) != published.get(name, _EMPTY):
                self._unpublished.add(_HISTOGRAM + name)
        self._unpublished_at_commit = frozenset(self._unpublished)

    def copy_to(self, folder: Path) -> None:
        """Write all that is committed, as of one moment, to a new folder, for `open`.

        The one call that another thread may make at any time.

        Raises:
            StoreClosedError: the store is closed.
            StoreUnusableError: the copy cannot be written, or the store is open for reading only.
        """
        if not isinstance(self._backend, Copyable):
            raise StoreUnusableError("a store that is open for reading only cannot be copied")
        self._backend.copy_to(folder)

    def close(self) -> None:
        """Release the store; what was not committed is lost."""
        self.closed = True
        self._backend.close()

    def _encoded(self, key: bytes) -> bytes:
        histogram = self._counts.get(key, self.today)
        return _EMPTY if histogram is None else histogram.to_bytes()

    def _day_changed(self) -> None:
        self._all_parts_changed = bool(self._rules.window_days)  # each may have lost a day

    def _note_changed_parts(self) -> None:
        if self._all_parts_changed:
            for scope in _PARTS:
                self._unpublished |= self._counts.keys(_HISTOGRAM + scope)
            self._all_parts_changed = False
        self._unpublished |= self._ledger.changed_parts
        self._ledger.changed_parts.clear()

    def _load_positions(self) -> None:
        self._positions = changelog.positions(self._backend.scan(POSITION_PREFIX))
        stored = self._backend.get(CHANGELOG_POSITION_KEY)
        self._changelog_position = 0 if stored is None else read_local_number(stored)
        self._rules.check_stored(self._backend)
        self._rules_stored = self._backend.get(RULES_KEY) is not None
        self._ledger.load()
