"""Sales into statistics, statistics into listings: what the stats worker does with records."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby, islice
from operator import attrgetter
from typing import NamedTuple, cast

from schemas.cloudevents import Envelope, decode, encode
from schemas.errors import SchemaError
from schemas.listing import ListingCreated, ListingEnriched
from schemas.plain import PlainSale, read_plain_sale
from schemas.sale import ItemSold, SaleReversed
from schemas.topics import (
    LISTING_CREATED,
    LISTING_ENRICHED,
    STATS_CHANGELOG,
    STATS_PARTIALS,
    TRANSACTIONS,
)
from stats_store.errors import SaleRefusedError
from stats_store.features import statistics_of
from stats_store.ledger import Posting
from stats_store.sales import SaleOutcome
from stats_store.store import PartitionStore
from workers.runtime.metrics import StatsMetrics
from workers.runtime.processing import Output, Record, Rejected
from workers.runtime.routing import SellerRouter
from workers.stats.partials import PartialsFollower

SOURCE = "/secondsight/stats"
_CHUNK = 1_000  # records read and applied in one go: they stay in the processor's cache

StatsInput = ItemSold | SaleReversed | ListingCreated

ACCEPTED: Mapping[str, tuple[type[StatsInput], ...]] = {
    TRANSACTIONS: (ItemSold, SaleReversed),
    LISTING_CREATED: (ListingCreated,),
}


_SALES = (PlainSale, ItemSold)


class _Listing(NamedTuple):
    listing: ListingCreated
    envelope: Envelope


class FutureEventError(ValueError):
    """An event says that it happened later than this machine's clock allows."""


class StatsProcessor:
    """Keeps one store a partition and enriches listings from them.

    Implements `workers.runtime.processing.Processor`.

    Args:
        router: sends strays to their seller's partition.
        open_store: opens the store of a partition; its second argument says whether to hurry,
            since the partition was revoked.
        restore: brings a store up to date with its changelog; its second argument says whether
            to stop early.
        partials: the other partitions' parts of category and global statistics.
        metrics: where it counts.
        max_future: seconds that an event's time may be ahead of `now`.
        partials_interval: seconds between two publications of changed parts.
        now: seconds since 1970.
    """

    def __init__(
        self,
        *,
        router: SellerRouter,
        open_store: Callable[[int, Callable[[], bool]], PartitionStore],
        restore: Callable[[PartitionStore, Callable[[], bool]], None],
        partials: PartialsFollower,
        metrics: StatsMetrics,
        max_future: float,
        partials_interval: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._router = router
        self._open_store = open_store
        self._restore = restore
        self._partials = partials
        self._metrics = metrics
        self._max_future = max_future
        self._partials_interval = partials_interval
        self._now = now
        self._wanted: set[int] = set()
        self._stores: dict[int, PartitionStore] = {}
        self._touched: set[int] = set()
        self._publish_at = 0.0
        self._outcomes: Counter[str] = Counter()  # of sales and reversals, in this batch
        self._enriched_count = 0

    # --- partitions ----------------------------------------------------------------------

    def assigned(self, partition: int) -> Mapping[str, int]:
        """Open the partition's store, bring it up to date, and say where its inputs go on."""
        self._wanted.add(partition)

        def cancelled() -> bool:
            return partition not in self._wanted

        store = self._open_store(partition, cancelled)
        try:
            self._restore(store, cancelled)
            positions = {topic: store.position(topic) for topic in ACCEPTED}
        except BaseException:
            store.close()
            raise
        self._stores[partition] = store  # if it was revoked meanwhile, the loop revokes it again
        return {topic: offset for topic, offset in positions.items() if offset is not None}

    def revoked(self, partition: int) -> None:
        """Close the partition's store; what was not committed is some other worker's to do."""
        self._wanted.discard(partition)
        self._touched.discard(partition)
        if (store := self._stores.pop(partition, None)) is not None:
            store.close()
            with suppress(KeyError):  # nothing was committed here
                self._metrics.parked_reversals.remove(partition)

    def arrived(self, records: Sequence[Record]) -> None:
        """Nothing to prepare: a record is processed faster than a thread is woken."""

    # --- batches -------------------------------------------------------------------------

    def due(self) -> bool:
        """Say whether parts that changed wait to be published."""
        return time.monotonic() >= self._publish_at and any(
            store.has_unpublished_parts or store.today < self._partials.latest_day
            for store in self._stores.values()
        )

    def process(self, records: Sequence[Record]) -> Sequence[Output | Rejected]:
        """Apply sales, enrich listings, and write down every change for the changelog."""
        self._partials.check()
        results: list[Output | Rejected] = []
        latest = datetime.fromtimestamp(self._now() + self._max_future, UTC)
        for partition, of_partition in _by_partition(records).items():
            store = self._stores[partition]
            for start in range(0, len(of_partition), _CHUNK):
                results += self._apply(of_partition[start : start + _CHUNK], store, latest)
        timestamp_ms = records[-1].timestamp_ms if records else int(self._now() * 1000)
        if time.monotonic() >= self._publish_at:
            results += self._parts(timestamp_ms)
        results += self._changes(timestamp_ms)
        return results

    def skip(self, record: Record) -> Sequence[Output]:
        """Note the record's position, so that no later owner of the partition asks for it again."""
        store = self._stores[record.partition]
        if _not_applied([record], store):
            self._touched.add(store.partition)
            store.set_position(record.topic, record.offset + 1)
        return self._changes(record.timestamp_ms)

    def committed(self, written: Mapping[tuple[str, int], int]) -> None:
        """Make the touched stores durable up to where the changelog now is."""
        for partition in self._touched:
            store = self._stores[partition]
            last = written.get((STATS_CHANGELOG, partition))
            store.commit(store.changelog_position if last is None else last + 1)
            self._metrics.expired_reversals.inc(store.take_expired_reversals())
            self._metrics.parked_reversals.labels(partition).set(store.parked_reversals)
        self._touched.clear()
        for outcome, count in self._outcomes.items():
            self._metrics.sales.labels(outcome).inc(count)
        self._metrics.listings_enriched.inc(self._enriched_count)
        self._forget_counts()

    def aborted(self) -> None:
        """Forget the batch in every touched store."""
        for partition in self._touched:
            if (store := self._stores.get(partition)) is not None:
                store.rollback()
        self._touched.clear()
        self._publish_at = 0.0
        self._forget_counts()

    # --- records -------------------------------------------------------------------------

    def _apply(
        self, records: Sequence[Record], store: PartitionStore, latest: datetime
    ) -> list[Output | Rejected]:
        """Apply records of one partition in order; what happened after `latest` is rejected."""
        new = _not_applied(records, store)
        if not new:
            return []
        self._touched.add(store.partition)
        read = [self._read(record, latest) for record in new]
        postings = iter(store.look_up(event for event in read if isinstance(event, _SALES)))
        results: list[Output | Rejected] = []
        for are_sales, run in groupby(zip(new, read, strict=True), key=_is_sale):
            if are_sales:
                sales = [record for record, _ in run]
                results += self._apply_sales(store, sales, islice(postings, len(sales)))
                continue
            for record, event in run:
                if isinstance(event, SaleReversed):
                    self._outcomes[store.apply_reversal(event).value] += 1
                elif isinstance(event, _Listing):
                    results.append(self._enriched(event.listing, event.envelope, record, store))
                else:
                    results.append(cast(Output | Rejected, event))
        for topic, record in {record.topic: record for record in new}.items():
            store.set_position(topic, record.offset + 1)
        return results

    def _apply_sales(
        self, store: PartitionStore, records: Sequence[Record], postings: Iterable[Posting]
    ) -> list[Rejected]:
        outcomes = store.apply_sales(postings)
        for known in SaleOutcome:
            self._outcomes[known.value] += outcomes.count(known)
        return [
            Rejected(record, outcome.stage, outcome)
            for record, outcome in zip(records, outcomes, strict=True)
            if isinstance(outcome, SaleRefusedError)
        ]

    def _read(
        self, record: Record, latest: datetime
    ) -> PlainSale | ItemSold | SaleReversed | _Listing | Output | Rejected:
        """Return the event of a record; or what is to be written in its place."""
        event: PlainSale | StatsInput
        try:
            sold = record.topic == TRANSACTIONS
            plain = read_plain_sale(record.headers, record.value) if sold else None
            if plain is not None:
                event, happened = plain
            else:
                decoded, envelope = decode(record.headers, record.value, ACCEPTED[record.topic])
                event, happened = cast(StatsInput, decoded), envelope.time
            if happened > latest:
                raise self._future("ce_time", happened)
            if isinstance(event, _SALES) and event.sold_at > latest:  # by this time windows move
                raise self._future("sold_at", event.sold_at)
            stray = self._router.sent_home(record, event.seller_id)
        except (SchemaError, FutureEventError) as error:
            return Rejected(record, "decode" if isinstance(error, SchemaError) else "clock", error)
        if stray is not None:
            return stray
        return _Listing(event, envelope) if isinstance(event, ListingCreated) else event

    def _future(self, name: str, moment: datetime) -> FutureEventError:
        return FutureEventError(
            f"{name} {moment.isoformat()} is more than {self._max_future:.0f} s ahead of this "
            f"worker's clock"
        )

    def _enriched(
        self, listing: ListingCreated, envelope: Envelope, record: Record, store: PartitionStore
    ) -> Output:
        histograms = store.listing_histograms(
            listing_id=listing.listing_id,
            seller_id=listing.seller_id,
            category=listing.category,
            currency=listing.currency,
            remote=self._partials,
        )
        enriched = ListingEnriched(
            **dict(listing),
            statistics=statistics_of(*histograms, listing.currency),
        )
        self._enriched_count += 1
        return Output(
            LISTING_ENRICHED,
            record.partition,
            listing.seller_id.encode(),
            enriched.to_bytes(),
            encode(
                enriched,
                event_id=envelope.id,
                source=SOURCE,
                time=envelope.time,
                subject=listing.listing_id,
                traceparent=envelope.traceparent,
            ),
            record.timestamp_ms,
        )

    def _forget_counts(self) -> None:
        self._outcomes.clear()
        self._enriched_count = 0

    def _changes(self, timestamp_ms: int) -> list[Output]:
        return [
            Output(STATS_CHANGELOG, partition, key, value, (), timestamp_ms)
            for partition in sorted(self._touched)
            for key, value in self._stores[partition].changes()
        ]

    def _parts(self, timestamp_ms: int) -> list[Output]:
        self._publish_at = time.monotonic() + self._partials_interval
        outputs = []
        for partition, store in sorted(self._stores.items()):
            if store.today < self._partials.latest_day:  # a quiet partition's window moves, too
                store.advance(self._partials.latest_day)
                self._touched.add(partition)
            parts = store.take_unpublished_parts()
            if parts:
                self._touched.add(partition)
            outputs += [
                Output(STATS_PARTIALS, partition, key, value, (), timestamp_ms)
                for key, value in parts
            ]
        return outputs


def _is_sale(read: tuple[Record, object]) -> bool:
    return isinstance(read[1], _SALES)


def _by_partition(records: Sequence[Record]) -> dict[int, list[Record]]:
    found: dict[int, list[Record]] = {}
    for partition, run in groupby(records, key=attrgetter("partition")):
        found.setdefault(partition, []).extend(run)
    return found


def _not_applied(records: Sequence[Record], store: PartitionStore) -> Sequence[Record]:
    """Leave out what is in the state already: offsets below its positions."""
    starts = {topic: store.position(topic) or 0 for topic in ACCEPTED}
    return [record for record in records if record.offset >= starts[record.topic]]
