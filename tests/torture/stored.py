"""The state as it lies in a RocksDB, and the state that the changelog alone gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stats_store.backend.options import RocksDBOptions
from stats_store.backend.rocksdb import RocksDBBackend
from stats_store.changelog import Family
from stats_store.histogram import PriceHistogram
from stats_store.identity import identity
from stats_store.sales import SaleRecord, SaleState
from stats_store.scope import ScopeKey
from stats_store.store import PartitionStore
from tests.torture.recount import PARKED, REVERSED, SOLD, Book, Entry, ScopeName

EMPTY = PriceHistogram().to_bytes()
STATES = {SaleState.SOLD: SOLD, SaleState.REVERSED: REVERSED, SaleState.PARKED: PARKED}
BATCH = 5_000


@dataclass(frozen=True)
class Stored:
    """All entries of one store, by column family and key, once it is up to date."""

    entries: Mapping[str, Mapping[bytes, bytes]]
    histograms: Mapping[bytes, bytes]  # by the byte form of the scope's key
    sales: Mapping[tuple[str, str], tuple[Any, ...]]  # as `Book.sales`
    behind: int  # records of the changelog that it had not seen


def read_store(folder: Path, partition: int, changelog: Sequence[Entry], book: Book) -> Stored:
    """Open a store (made where there is none), bring it up to date, and return what is in it.

    `changelog` holds the committed records of its partition. The sales are asked for by the
    listings that the book knows; that there are no others is seen from the number of entries.
    """
    store = PartitionStore.open(folder, partition, options=RocksDBOptions())
    try:
        new = [e for e in changelog if e.offset >= store.changelog_position]
        for first in range(0, len(new), BATCH):
            store.restore_batch([(e.offset, e.key or b"", e.value) for e in new[first:][:BATCH]])
        sales = {
            ids: _sale(record)
            for listing, all_ids in book.of_listing.items()
            for ids, record in zip(sorted(all_ids), store.sales_of(listing), strict=False)
        }
    finally:
        store.close()
    backend = RocksDBBackend.open(folder, RocksDBOptions(), identity(partition))
    try:
        entries = {family.name: dict(backend.scan(family.value)) for family in Family}
    finally:
        backend.close()
    histograms = {key[1:]: value for key, value in entries[Family.HISTOGRAMS.name].items()}
    return Stored(entries, histograms, sales, len(new))


def expected_histograms(book: Book) -> dict[bytes, bytes]:
    """Return the canonical bytes of every scope that a book ever counted a price in."""
    expected = {}
    for scope, prices in book.prices.items():
        histogram = PriceHistogram()
        histogram.add_many(prices)
        expected[scope_key(scope)] = histogram.to_bytes()
    return expected


def scope_key(scope: ScopeName) -> bytes:
    """Return the byte form of a scope's key."""
    kind, currency, name = scope
    if kind == "global":
        return ScopeKey.overall(currency).to_bytes()
    make = ScopeKey.seller if kind == "seller" else ScopeKey.category
    return make(currency, name).to_bytes()


def _sale(record: SaleRecord) -> tuple[Any, ...]:
    state = STATES[record.state]
    if state == PARKED:
        return (state,)
    return (
        state,
        record.at_ms,
        record.price_minor,
        record.currency,
        record.seller_id,
        record.category,
    )
