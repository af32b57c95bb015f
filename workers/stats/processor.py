"""Sales into statistics, statistics into listings: what the stats worker does with records."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from schemas.cloudevents import Envelope, decode, encode
from schemas.errors import SchemaError
from schemas.listing import ListingCreated, ListingEnriched
from schemas.sale import ItemSold, SaleReversed
from schemas.topics import (
    LISTING_CREATED,
    LISTING_ENRICHED,
    STATS_CHANGELOG,
    STATS_PARTIALS,
    TRANSACTIONS,
)
from stats_store.errors import SaleConflictError
from stats_store.features import statistics_of
from stats_store.store import PartitionStore
from workers.runtime.metrics import StatsMetrics
from workers.runtime.processing import Output, Record, Rejected
from workers.runtime.routing import SellerRouter
from workers.stats.partials import PartialsFollower

SOURCE = "/secondsight/stats"

StatsInput = ItemSold | SaleReversed | ListingCreated

ACCEPTED: Mapping[str, tuple[type[StatsInput], ...]] = {
    TRANSACTIONS: (ItemSold, SaleReversed),
    LISTING_CREATED: (ListingCreated,),
}


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

    def arrived(self, records: Sequence[Record]) -> None:
        """Nothing to prepare: a record is processed faster than a thread is woken."""

    # --- batches -------------------------------------------------------------------------

    def due(self) -> bool:
        """Say whether parts that changed wait to be published."""
        return time.monotonic() >= self._publish_at and any(
            store.has_unpublished_parts for store in self._stores.values()
        )

    def process(self, records: Sequence[Record]) -> Sequence[Output | Rejected]:
        """Apply sales, enrich listings, and write down every change for the changelog."""
        self._partials.check()
        results: list[Output | Rejected] = []
        for record in records:
            store = self._stores[record.partition]
            position = store.position(record.topic)
            if position is not None and record.offset < position:
                continue  # in the state already
            self._touched.add(record.partition)
            result: Output | Rejected | None
            try:
                result = self._one(record, store)
            except (SchemaError, SaleConflictError, FutureEventError) as error:
                result = Rejected(record, _stage(error), error)
            store.set_position(record.topic, record.offset + 1)
            if result is not None:
                results.append(result)
        timestamp_ms = records[-1].timestamp_ms if records else int(self._now() * 1000)
        if time.monotonic() >= self._publish_at:
            results += self._parts(timestamp_ms)
        for partition in sorted(self._touched):
            results += [
                Output(STATS_CHANGELOG, partition, key, value, (), timestamp_ms)
                for key, value in self._stores[partition].changes()
            ]
        return results

    def committed(self, written: Mapping[tuple[str, int], int]) -> None:
        """Make the touched stores durable up to where the changelog now is."""
        for partition in self._touched:
            store = self._stores[partition]
            last = written.get((STATS_CHANGELOG, partition))
            store.commit(store.changelog_position if last is None else last + 1)
        self._touched.clear()

    def aborted(self) -> None:
        """Forget the batch in every touched store."""
        for partition in self._touched:
            if (store := self._stores.get(partition)) is not None:
                store.rollback()
        self._touched.clear()
        self._publish_at = 0.0

    # --- records -------------------------------------------------------------------------

    def _one(self, record: Record, store: PartitionStore) -> Output | None:
        decoded, envelope = decode(record.headers, record.value, ACCEPTED[record.topic])
        event = cast(StatsInput, decoded)
        if envelope.time.timestamp() > self._now() + self._max_future:
            raise FutureEventError(
                f"ce_time {envelope.time.isoformat()} is more than {self._max_future:.0f} s ahead "
                f"of this worker's clock"
            )
        if (stray := self._router.sent_home(record, event.seller_id)) is not None:
            return stray
        if isinstance(event, ItemSold):
            self._metrics.sales.labels(store.apply_sale(event).value).inc()
            return None
        if isinstance(event, SaleReversed):
            self._metrics.sales.labels(store.apply_reversal(event).value).inc()
            return None
        return self._enriched(event, envelope, record, store)

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
        self._metrics.listings_enriched.inc()
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

    def _parts(self, timestamp_ms: int) -> list[Output]:
        self._publish_at = time.monotonic() + self._partials_interval
        outputs = []
        for partition, store in sorted(self._stores.items()):
            parts = store.take_unpublished_parts()
            if parts:
                self._touched.add(partition)
            outputs += [
                Output(STATS_PARTIALS, partition, key, value, (), timestamp_ms)
                for key, value in parts
            ]
        return outputs


def _stage(error: Exception) -> str:
    if isinstance(error, SchemaError):
        return "decode"
    return "conflict" if isinstance(error, SaleConflictError) else "clock"
