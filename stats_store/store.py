"""The statistics of one input partition: what was sold, in memory and durable."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

from schemas.sale import SaleReversed
from stats_store import changelog
from stats_store.backend.options import RocksDBOptions
from stats_store.backend.protocol import Backend, Copyable
from stats_store.backend.rocksdb import RocksDBBackend
from stats_store.buckets import bucket_of
from stats_store.changelog import CHANGELOG_POSITION_KEY, PACK_PREFIX, Change, Family
from stats_store.errors import SaleConflictError, StoreUnusableError
from stats_store.histogram import PriceHistogram
from stats_store.histogram_table import HistogramTable
from stats_store.identity import check_identity, identity, local_number, read_local_number
from stats_store.partials import PartsOfOthers
from stats_store.sale_table import SaleTable
from stats_store.sales import (
    ReversalOutcome,
    SaleOutcome,
    SaleRecord,
    SaleState,
    Sold,
    parked_record,
    read_sale,
    sale_key,
    sold_content,
    state_of,
    with_state,
)
from stats_store.scope import ScopeKey

_HISTOGRAM = Family.HISTOGRAMS.value
_PARTS = (b"c", b"g")  # first bytes of the keys of category and overall
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

    def __init__(self, backend: Backend, partition: int, *, cached_histograms: int) -> None:
        """Use a backend that holds a store of this partition; `open` is for a folder."""
        check_identity(backend, partition)
        self.partition = partition
        self.closed = False
        self._backend = backend
        self._histograms = HistogramTable(backend, kept=cached_histograms)
        self._sales = SaleTable(backend)
        self._new_positions: dict[str, int] = {}
        self._changes: list[Change] | None = None
        self._sale_changes: list[tuple[bytes, bytes]] = []  # of the same batch, not packed
        self._other_changes: list[Change] = []
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
    ) -> Self:
        """Open the store in a folder of its own, which is made if need be.

        Args:
            folder: the RocksDB of this partition and nothing else.
            partition: number of the input partition.
            options: memory of RocksDB.
            cached_histograms: how many histograms are kept decoded, 1 to 10 KiB each.

        Raises:
            StoreLockedError: another process has it open.
            StoreMismatchError: it is of another partition, format version or program.
            StoreUnusableError: it is damaged or cannot be read. Nothing was changed in it.
        """
        backend = RocksDBBackend.open(folder, options, identity(partition))
        try:
            return cls(backend, partition, cached_histograms=cached_histograms)
        except BaseException:
            backend.close()
            raise

    def look_up(self, sales: Iterable[Sold | SaleReversed]) -> None:
        """Look up at once what is remembered of sales that are applied next. Changes nothing."""
        keys = []
        histograms: set[bytes] = set()
        for sale in sales:
            keys.append(sale_key(sale.listing_id, sale.transaction_id))
            if not isinstance(sale, SaleReversed):
                histograms.update(_scopes(sale))
        self._sales.fetch(keys)
        self._histograms.fetch(histograms)

    def apply_sale(self, sale: Sold) -> SaleOutcome:
        """Count a sale once.

        Raises:
            SaleConflictError: a sale of the same ids and other content is known; nothing was
                changed.
        """
        key = sale_key(sale.listing_id, sale.transaction_id)
        content = sold_content(sale)
        known = self._sales.get(key)
        if known is None:
            price, to_change = sale.price_minor, self._histograms.to_change
            bucket = bucket_of(price)
            seller, category, overall = _scopes(sale)
            to_change(seller).add_in_bucket(price, bucket)
            to_change(category).add_in_bucket(price, bucket)
            to_change(overall).add_in_bucket(price, bucket)
            self._unpublished.add(category)
            self._unpublished.add(overall)
            self._put_sale(key, with_state(SaleState.SOLD, content))
            return SaleOutcome.COUNTED
        if state_of(known) is SaleState.PARKED:
            self._put_sale(key, with_state(SaleState.REVERSED, content))
            return SaleOutcome.ANNULLED
        if known[1:] != content:
            raise SaleConflictError(
                f"listing {sale.listing_id!r} was sold in transaction {sale.transaction_id!r} "
                f"before, and otherwise: {_told(read_sale(known))}"
            )
        return SaleOutcome.DUPLICATE

    def apply_reversal(self, reversal: SaleReversed) -> ReversalOutcome:
        """Take back what the sale of these ids counted for, once; park what comes before it."""
        key = sale_key(reversal.listing_id, reversal.transaction_id)
        known = self._sales.get(key)
        if known is None:
            self._put_sale(key, parked_record(reversal))
            return ReversalOutcome.PARKED
        if state_of(known) is not SaleState.SOLD:
            return ReversalOutcome.DUPLICATE
        sold = read_sale(known)
        for histogram in (scopes := _scopes(sold)):
            self._histograms.to_change(histogram).remove(sold.price_minor)
        self._unpublished.update(scopes[1:])
        self._put_sale(key, with_state(SaleState.REVERSED, known[1:]))
        return ReversalOutcome.TAKEN_BACK

    def histogram(self, key: ScopeKey) -> PriceHistogram | None:
        """Return this partition's histogram as of now, to be read only; None without sales."""
        histogram = self._histograms.get(_HISTOGRAM + key.to_bytes())
        return histogram if histogram is not None and histogram.count else None

    def sales_of(self, listing_id: str) -> list[SaleRecord]:
        """Return what is known as of now of the sales of a listing, in order of their ids."""
        return self._sales.of_listing(listing_id)

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
        own = [sale for sale in self.sales_of(listing_id) if sale.state is SaleState.SOLD]

        def of(key: ScopeKey) -> PriceHistogram | None:
            here = self.histogram(key)
            elsewhere = None if remote is None else remote.total(key, without=self.partition)
            name = _HISTOGRAM + key.to_bytes()
            taken = [sale.price_minor for sale in own if name in _scopes(sale)]
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

        The sales come packed and first, the rest in the order in which it first changed.
        """
        if self._changes is None:
            self._sale_changes = self._sales.changes()
            changes = self._histograms.changes()
            changes += [changelog.position_change(*new) for new in self._new_positions.items()]
            self._other_changes = changes
            packed = changelog.pack_sales(self._sale_changes, self._changelog_position)
            self._changes = packed + changes
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
        position = (CHANGELOG_POSITION_KEY, local_number(changelog_position))
        self._backend.write([*self._sale_changes, *self._other_changes, position])
        self._changelog_position = changelog_position
        self._positions |= self._new_positions
        self._new_positions = {}
        self._unpublished_at_commit = frozenset(self._unpublished)
        self._histograms.committed()
        self._sales.forget()
        self._changes = None

    def rollback(self) -> None:
        """Forget all since the last commit."""
        self._new_positions = {}
        self._unpublished = set(self._unpublished_at_commit)
        self._histograms.rolled_back()
        self._sales.forget()
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
        for _, key, value in new:
            changelog.check(key, value)
        latest: dict[bytes, bytes | None] = {}
        for _, key, value in new:
            if key[:1] != PACK_PREFIX:
                latest[key] = value
            elif value is not None:
                latest.update(changelog.unpack_sales(value))
        next_offset = new[-1][0] + 1
        latest[CHANGELOG_POSITION_KEY] = local_number(next_offset)
        self._backend.write(latest.items())
        for key in latest:
            self._histograms.replaced(key)
        self._load_positions()
        return len(new)

    @property
    def has_unpublished_parts(self) -> bool:
        """Whether `take_unpublished_parts` would return any."""
        return bool(self._unpublished)

    def take_unpublished_parts(self) -> list[tuple[bytes, bytes]]:
        """Return category and global histograms that changed since they were last taken.

        They are keyed by the byte form of their ScopeKey, sorted, and count as published once
        the batch is committed; after `rollback` they are unpublished again.
        """
        taken = []
        for key in sorted(self._unpublished):
            histogram = self._histograms.get(key)
            taken.append((key[1:], _EMPTY if histogram is None else histogram.to_bytes()))
        self._unpublished = set()
        return taken

    def reconcile_parts(self, published: dict[bytes, bytes]) -> None:
        """Mark as unpublished what differs from what this partition has published.

        To be called after a restore, between batches: the parts are published less often than
        they change, so the last ones before a crash may not have been.
        """
        held = {
            key[1:]: part
            for scope in _PARTS
            for key, part in self._backend.scan(_HISTOGRAM + scope)
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

    def _put_sale(self, key: bytes, record: bytes) -> None:
        self._sales.put(key, record)
        self._changes = None

    def _load_positions(self) -> None:
        self._positions = changelog.positions(self._backend.scan(Family.META.value))
        stored = self._backend.get(CHANGELOG_POSITION_KEY)
        self._changelog_position = 0 if stored is None else read_local_number(stored)


def _scopes(sale: Sold | SaleRecord) -> tuple[bytes, bytes, bytes]:
    """Return the entries that a sale counts in: seller, category, overall."""
    money = sale.currency.encode()
    return (
        b"hs" + money + sale.seller_id.encode(),
        b"hc" + money + sale.category.encode(),
        b"hg" + money,
    )


def _told(sale: SaleRecord) -> str:
    return (
        f"{sale.price_minor} minor units of {sale.currency} by {sale.seller_id!r} in "
        f"{sale.category!r}, sold at {sale.at_ms} ms since 1970"
    )
