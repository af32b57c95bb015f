"""The Kafka topics: what lies in them, under which key, in how many partitions, for how long."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from schemas.base import Event
from schemas.dead_letter import MAX_KEPT_BYTES, DeadLetter, dead_letter_topic
from schemas.listing import ListingCreated, ListingEnriched
from schemas.model import ModelPublished
from schemas.sale import ItemSold, SaleReversed
from schemas.suggestion import PriceSuggested, ReuploadRequested, SuggestionScored

TRANSACTIONS = "transactions"
LISTING_CREATED = "listing.created"
LISTING_ENRICHED = "listing.enriched"
PRICE_SUGGESTED = "price.suggested"
REUPLOAD_REQUESTED = "reupload.requested"
PRICE_SHADOW = "price.shadow"
SUGGESTION_SCORED = "suggestion.scored"
MODELS = "models"
STATS_CHANGELOG = "stats.changelog"
STATS_PARTIALS = "stats.partials"
OUTCOMES_CHANGELOG = "outcomes.changelog"

FOREVER = -1
_DAY_MS = 24 * 60 * 60 * 1000

MAX_MESSAGE_BYTES = MAX_KEPT_BYTES
"""`max.message.bytes` of the topics: an event of 1 MiB, its key and headers, and then as much
again, so that it is the contract which refuses a large event, with a reason, and not the broker."""

MAX_DEAD_LETTER_BYTES = MAX_MESSAGE_BYTES + 64 * 1024
"""A record as large as its topic takes still fits with the headers that say why it failed.

A producer that writes to these topics needs librdkafka's `message.max.bytes` at least this high.
"""

_COMPACTED = {
    # A store or a checkpoint older than this would miss deletions when it catches up, and has
    # to be built anew from the start of the topic; Kafka's default of a day is one short night.
    "delete.retention.ms": str(7 * _DAY_MS),
    # A restore reads at most a quarter more than the state; at Kafka's 0.5 it is as much again.
    "min.cleanable.dirty.ratio": "0.2",
    # Only closed segments are compacted; at Kafka's 1 GiB a small state would never be.
    "segment.bytes": str(64 * 1024 * 1024),
}


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic. The record key of every event topic but `models` is the seller's id in UTF-8.

    Attributes:
        name: its name in the contract, without the prefix of an installation.
        description: what lies in it.
        key: what the record key is.
        events: the events in it; none where the value is an internal binary form.
        co_partitioned: it has the system's number of partitions; otherwise one.
        retention_ms: how long records are kept; FOREVER where the topic is compacted.
        compacted: only the last record of a key is kept.
        dead_letters: it is read by a worker that sets bad records aside.
        extra: further topic configurations.
    """

    name: str
    description: str
    key: str
    events: tuple[type[Event], ...]
    co_partitioned: bool
    retention_ms: int
    compacted: bool = False
    dead_letters: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)

    def partitions(self, system: int) -> int:
        """Return how many partitions it has where the system has `system`."""
        return system if self.co_partitioned else 1

    def config(self, replication_factor: int) -> dict[str, str]:
        """Return the topic's configuration as Kafka's admin interface takes it."""
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
            # With three replicas one broker may be down, and a record that was acknowledged is
            # still in two places; with fewer replicas, two in step would stop all writing.
            "min.insync.replicas": "2" if replication_factor >= 3 else "1",
            **self.extra,
        }


_TOPICS = (
    TopicSpec(
        name=TRANSACTIONS,
        description="sales and their reversals, from the payment service",
        key="seller_id",
        events=(ItemSold, SaleReversed),
        co_partitioned=True,
        retention_ms=FOREVER,  # the only source from which statistics can be counted anew
        dead_letters=True,
    ),
    TopicSpec(
        name=LISTING_CREATED,
        description="new listings, from the listing service",
        key="seller_id",
        events=(ListingCreated,),
        co_partitioned=True,
        retention_ms=30 * _DAY_MS,  # a month can be replayed; the listing service has the rest
        dead_letters=True,
    ),
    TopicSpec(
        name=LISTING_ENRICHED,
        description="listings with their sold-price statistics, from the stats worker",
        key="seller_id",
        events=(ListingEnriched,),
        co_partitioned=True,
        retention_ms=7 * _DAY_MS,  # a suggestion later than that helps no seller
        dead_letters=True,
    ),
    TopicSpec(
        name=PRICE_SUGGESTED,
        description="price suggestions, for the app",
        key="seller_id",
        events=(PriceSuggested,),
        co_partitioned=True,
        retention_ms=30 * _DAY_MS,  # a new consumer fills its view from these
        dead_letters=True,
    ),
    TopicSpec(
        name=REUPLOAD_REQUESTED,
        description="requests for better photos, for the app",
        key="seller_id",
        events=(ReuploadRequested,),
        co_partitioned=True,
        retention_ms=30 * _DAY_MS,  # as price.suggested
        dead_letters=True,
    ),
    TopicSpec(
        name=PRICE_SHADOW,
        description="answers not for the app: of a model in the shadow, prices held back by lot",
        key="seller_id",
        events=(PriceSuggested, ReuploadRequested),
        co_partitioned=True,
        retention_ms=30 * _DAY_MS,  # as the answers that it is compared with
        dead_letters=True,
    ),
    TopicSpec(
        name=SUGGESTION_SCORED,
        description="suggestions beside what the things sold for, from the outcomes worker",
        key="seller_id",
        events=(SuggestionScored,),
        co_partitioned=True,
        retention_ms=365 * _DAY_MS,  # seasons can be compared
    ),
    TopicSpec(
        name=MODELS,
        description="announcements of model bundles: each role is held by the last one for it",
        key="model_version",
        events=(ModelPublished,),
        co_partitioned=False,  # one partition gives the announcements one order
        retention_ms=FOREVER,
        compacted=True,
        dead_letters=True,
        extra=_COMPACTED,
    ),
    TopicSpec(
        name=STATS_CHANGELOG,
        description="state of the stats worker by partition, from which a store is restored",
        key="state key (binary); the partition is set by the writer",
        events=(),
        co_partitioned=True,
        retention_ms=FOREVER,
        compacted=True,
        extra=_COMPACTED,
    ),
    TopicSpec(
        name=STATS_PARTIALS,
        description="each partition's part of the category and global statistics",
        key="scope key (binary); the partition is set by the writer",
        events=(),
        co_partitioned=True,
        retention_ms=FOREVER,
        compacted=True,
        extra=_COMPACTED,
    ),
    TopicSpec(
        name=OUTCOMES_CHANGELOG,
        description="what the outcomes worker knows of listings, from which its table is restored",
        key="fact key (binary); the partition is set by the writer",
        events=(),
        co_partitioned=True,
        retention_ms=FOREVER,
        compacted=True,
        extra=_COMPACTED,
    ),
)

TOPICS: Mapping[str, TopicSpec] = {spec.name: spec for spec in _TOPICS}
"""The topics by name."""

DEAD_LETTER_TOPICS: Mapping[str, TopicSpec] = {
    dead_letter_topic(spec.name): replace(
        spec,
        name=dead_letter_topic(spec.name),
        description=f"records of {spec.name} that could not be processed, as they were",
        key="as the record had it",
        events=(DeadLetter,),
        retention_ms=30 * _DAY_MS,  # time to see it, mend the cause and put the record back
        compacted=False,
        dead_letters=False,
        extra={"max.message.bytes": str(MAX_DEAD_LETTER_BYTES)},
    )
    for spec in _TOPICS
    if spec.dead_letters
}
"""The dead-letter topic of every topic that a worker reads events from, by its own name."""
