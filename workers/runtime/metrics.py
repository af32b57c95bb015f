"""Every metric of the workers, one line each: name, labels, unit and meaning.

Names begin with `secondsight_` and end in their base unit; counters end in `_total`. Topics are
named as in the contract, without the prefix of the cluster.
"""

import time
from collections import Counter as Count
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from workers.runtime.processing import Output, Record, Rejected

# Prometheus makes no use of the times of creation, and they double the page.
disable_created_metrics()  # type: ignore[no-untyped-call]

_PREFIX = "secondsight"
_PLACE = attrgetter("topic", "partition")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)


def new_registry() -> CollectorRegistry:
    """Give a registry for one worker, with the memory, CPU time and files of its process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


class _Meter:
    """Makes metrics with our prefix: name, meaning, labels."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, namespace=_PREFIX, registry=self._registry)

    def gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, namespace=_PREFIX, registry=self._registry)

    def histogram(
        self, name: str, meaning: str, *labels: str, buckets: Sequence[float]
    ) -> Histogram:
        return Histogram(
            name, meaning, labels, namespace=_PREFIX, registry=self._registry, buckets=buckets
        )


@dataclass(slots=True)
class _Position:
    """How far one partition of one input is: the lag follows from it."""

    last_arrived: int = -1
    last_committed: int = -1
    waiting_since: float = 0.0  # timestamp of the record that the lag is counted from, in seconds
    end_met: bool = False  # by a poll since the last records were counted
    end_reached: bool = False  # behind the last record that arrived


class LoopMetrics:
    """What the transactional loop counts, whatever the processor.

    `clock` gives the time in seconds since 1970, as `time.time` does.
    """

    def __init__(
        self, registry: CollectorRegistry, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._positions: dict[tuple[str, int], _Position] = {}
        meter = _Meter(registry)
        self._consumed = meter.counter(
            "records_consumed_total", "Records polled from an input", "topic"
        )
        self._produced = meter.counter(
            "records_produced_total", "Records written in committed transactions", "topic"
        )
        self._dead_letters = meter.counter(
            "dead_letters_total",
            "Records set aside, by input topic and the stage that failed",
            "topic",
            "stage",
        )
        self._transactions = meter.counter(
            "transactions_total",
            "Transactions: committed, aborted (done again) or unknown (state is restored)",
            "outcome",
        )
        self._transaction_seconds = meter.histogram(
            "transaction_seconds", "Seconds from taking a batch to its commit", buckets=_SECONDS
        )
        self._batch_records = meter.histogram(
            "batch_records", "Records in a committed batch", buckets=_RECORDS
        )
        self._lag = meter.gauge(
            "lag_seconds",
            "Seconds since the event time of the last committed record; 0 at the end of the log",
            "topic",
            "partition",
        )
        self._rebalances = meter.counter(
            "rebalances_total", "Times that partitions were assigned or revoked", "kind"
        )
        for outcome in ("committed", "aborted", "unknown"):
            self._transactions.labels(outcome)  # a rate needs the 0 that it rises from

    def consumed(self, records: Sequence[Record]) -> None:
        """Count records of one poll, in the order of their offsets, after its `reached_end`."""
        places: set[tuple[str, int]] = set()
        for place, run in groupby(records, key=_PLACE):
            of_place = list(run)
            position = self._position(*place)
            if position.last_arrived <= position.last_committed:  # nothing waited before it
                position.waiting_since = of_place[0].timestamp_ms / 1000
            position.last_arrived = of_place[-1].offset
            self._consumed.labels(place[0]).inc(len(of_place))
            places.add(place)
        for place in places:
            # An end that the same poll met lies behind its records; an earlier one no longer.
            position = self._position(*place)
            position.end_reached, position.end_met = position.end_met, False

    def reached_end(self, topic: str, partition: int) -> None:
        """Note that all records of a partition have been polled: its lag is 0 once they commit."""
        position = self._position(topic, partition)
        position.end_met = position.end_reached = True

    def committed(
        self,
        batch: Sequence[Record],
        outputs: Iterable[Output],
        rejected: Iterable[Rejected],
        seconds: float,
    ) -> None:
        """Count a committed transaction: what it read, wrote and set aside, and its seconds."""
        for place, record in {(each.topic, each.partition): each for each in batch}.items():
            position = self._position(*place)
            position.last_committed = record.offset
            position.waiting_since = record.timestamp_ms / 1000
        for topic, count in Count(output.topic for output in outputs).items():
            self._produced.labels(topic).inc(count)
        for rejection in rejected:
            self._dead_letters.labels(rejection.record.topic, rejection.stage).inc()
        self._transactions.labels("committed").inc()
        self._transaction_seconds.observe(seconds)
        self._batch_records.observe(len(batch))

    def aborted(self, outcome: str) -> None:
        """Count a transaction that did not commit (`aborted`) or may not have (`unknown`)."""
        self._transactions.labels(outcome).inc()

    def rebalanced(self, kind: str, partitions: Iterable[int] = ()) -> None:
        """Count a rebalance, `assigned` or `revoked`; lags of revoked partitions are let go."""
        self._rebalances.labels(kind).inc()
        if kind == "revoked":
            gone = set(partitions)
            for topic, partition in [key for key in self._positions if key[1] in gone]:
                del self._positions[topic, partition]
                self._lag.remove(topic, partition)

    def _position(self, topic: str, partition: int) -> _Position:
        position = self._positions.get((topic, partition))
        if position is None:
            position = self._positions[topic, partition] = _Position()
            self._lag.labels(topic, partition).set_function(lambda: self._lag_of(position))
        return position

    def _lag_of(self, position: _Position) -> float:
        # Without the end of the log a partition between two polls would look caught up, and an
        # idle one, whose last record grows old, would look late.
        caught_up = position.last_committed >= position.last_arrived
        if caught_up and (position.end_reached or position.last_arrived < 0):
            return 0.0
        return max(0.0, self._clock() - position.waiting_since)


class RoutingMetrics:
    """What the router of a worker counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.misrouted = _Meter(registry).counter(
            "misrouted_total",
            "Records found in another partition than their seller's and sent on",
            "topic",
        )


class StatsMetrics:
    """What the stats worker counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        meter = _Meter(registry)
        self.sales = meter.counter(
            "sales_total",
            "Sales and reversals: counted, duplicate, annulled (its reversal came first), "
            "corrected, taken_back, taken_back_in_part, parked (its sale is not there yet)",
            "outcome",
        )
        self.parked_reversals = meter.gauge(
            "parked_reversals", "Reversals that wait for their sale", "partition"
        )
        self.expired_reversals = meter.counter(
            "expired_reversals_total", "Reversals that waited for their sale too long, let go"
        )
        self.listings_enriched = meter.counter(
            "listings_enriched_total", "Listings that were given their statistics"
        )
        self.restored_records = meter.counter(
            "restored_records_total", "Changelog records read to restore state"
        )
        self.restore_seconds = meter.histogram(
            "restore_seconds",
            "Seconds to restore a partition's state",
            buckets=(*_SECONDS, 60, 300, 1_800),
        )
        self.restore_share = meter.gauge(
            "restore_share",
            "How much of a source is read: 0 to 1; source: changelog, checkpoint",
            "partition",
            "source",
        )
        self.restore_left = meter.gauge(
            "restore_left",
            "What is left to read of a source: offsets of the changelog, bytes of the checkpoint",
            "partition",
            "source",
        )
        self.checkpoints = meter.counter(
            "checkpoints_total",
            "Checkpoints: made, failed (tried again), fetched, refused (damaged, passed over)",
            "outcome",
        )
        self.checkpoint_seconds = meter.histogram(
            "checkpoint_seconds",
            "Seconds to make and ship a checkpoint",
            buckets=(*_SECONDS, 60, 300, 1_800),
        )
        self.checkpoint_bytes = meter.gauge(
            "checkpoint_bytes", "Bytes of the last checkpoint made", "partition"
        )
        self.standby_records = meter.counter(
            "standby_records_total", "Changelog records followed for partitions of other workers"
        )
        self.standby_lag = meter.gauge(
            "standby_lag_records",
            "Changelog records that a followed partition is behind; 0 when it can take over",
            "partition",
        )
        for outcome in ("made", "failed", "fetched", "refused"):
            self.checkpoints.labels(outcome)


class SuggestMetrics:
    """What the suggest worker counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        meter = _Meter(registry)
        self.suggestions = meter.counter("suggestions_total", "Listings answered with a price")
        self.controls = meter.counter(
            "suggestion_controls_total", "Prices that were held back by lot, as a control"
        )
        self.reuploads = meter.counter(
            "reuploads_total", "Reasons given in requests for other photos", "reason"
        )
        self.stage_seconds = meter.histogram(
            "stage_seconds",
            "Seconds of a stage: fetch and decode a photo, forward a batch",
            "stage",
            buckets=_SECONDS,
        )
        self.photos = meter.gauge(
            "photos_in_stage",
            "Photos that wait for their turn, are fetched, or wait for a decoder or are in one; "
            "stage: wait, fetch, decode",
            "stage",
        )
        for stage in ("wait", "fetch", "decode"):
            self.photos.labels(stage)
        self.fetches = meter.counter(
            "image_fetches_total", "Photos asked for, by what came of it", "outcome"
        )
        self.fetched_bytes = meter.counter("image_fetched_bytes_total", "Bytes of photos fetched")
        self.decoder_ends = meter.counter(
            "decoder_ends_total",
            "Decoder processes that were replaced: crashed, overtime, cancelled, recycled",
            "cause",
        )
        for cause in ("crashed", "overtime", "cancelled", "recycled"):
            self.decoder_ends.labels(cause)
        self.model_info = meter.gauge(
            "model_info", "1 for each model in use; role: live, canary, shadow", "version", "role"
        )
        self.model_answers = meter.counter(
            "model_answers_total",
            "Answers of each model; a shadow's do not reach the app; decision: price, reupload",
            "version",
            "role",
            "decision",
        )
        self.model_loads = meter.counter(
            "model_loads_total",
            "Announced models: loaded, refused (cannot be used), unreachable (tried again)",
            "outcome",
        )
        for outcome in ("loaded", "refused", "unreachable"):
            self.model_loads.labels(outcome)


class OutcomesMetrics:
    """What the outcomes worker counts. Repetitions after a restart are counted again."""

    def __init__(self, registry: CollectorRegistry) -> None:
        meter = _Meter(registry)
        self.scored = meter.counter("suggestions_scored_total", "Suggestions set beside a sale")
        self.examples = meter.counter(
            "examples_total",
            "Training examples, a corrected one again; outcome: sold, reversed, censored",
            "outcome",
        )
        for outcome in ("sold", "reversed", "censored"):
            self.examples.labels(outcome)
        self.late = meter.counter(
            "late_sales_total",
            "Sales let go because their listing never came, or had been let go before",
        )
        self.listings = meter.gauge("open_listings", "Listings that are remembered", "partition")
        self.flush_seconds = meter.histogram(
            "flush_seconds",
            "Seconds to store examples and commit",
            buckets=_SECONDS,
        )


class DriftMetrics:
    """What the last look at drift found."""

    def __init__(self, registry: CollectorRegistry) -> None:
        meter = _Meter(registry)
        self.psi = meter.gauge("drift_psi", "Population stability index", "column")
        self.ks = meter.gauge("drift_ks", "Statistic of Kolmogorov and Smirnov", "column")
        self.error = meter.gauge("drift_error", "MALE of what was listed of late, in log price")
        self.expected_error = meter.gauge(
            "drift_expected_error", "MALE of when the model was made, in log price"
        )
        self.error_by_age = meter.gauge(
            "drift_error_by_age",
            "MALE by the weeks for which a model had been answering, in log price",
            "week",
        )
        self.error_by_category = meter.gauge(
            "drift_error_by_category",
            "MALE of the categories with most sales, in log price",
            "category",
        )
        self.beyond = meter.gauge("drift_limits_passed", "Limits that were passed at the last look")
        self.requests = meter.counter("drift_requests_total", "Retrainings asked for")
        self.checked = meter.gauge(
            "drift_checked_timestamp_seconds", "When the last look at drift ended, since 1970"
        )
