"""The streaming part: past sales first, then listings and sales by time, until all are answered."""

from collections.abc import Sequence

from schemas.dead_letter import dead_letter_topic
from schemas.listing import ListingCreated
from schemas.topics import (
    LISTING_CREATED,
    LISTING_ENRICHED,
    PRICE_SUGGESTED,
    REUPLOAD_REQUESTED,
    TRANSACTIONS,
)
from workers.demo.logs import await_consumed, await_records
from workers.demo.parts import Parts
from workers.demo.planted import with_planted
from workers.demo.processes import WorkerProcess
from workers.demo.records import Records, record_of
from workers.demo.stages import Stages
from workers.replay.publishing import replay
from workers.runtime.service import client_options
from workers.runtime.settings import Settings

QUIET_LIMIT_S = 60.0  # without any answer; a batch takes a second

ENDS = (
    PRICE_SUGGESTED,
    REUPLOAD_REQUESTED,
    dead_letter_topic(LISTING_CREATED),
    dead_letter_topic(LISTING_ENRICHED),
)
"""Each record of `listing.created` ends in one of these topics, as an answer or set aside."""


def stream(
    settings: Settings, stages: Stages, parts: Parts, workers: Sequence[WorkerProcess]
) -> None:
    """Publish both parts and wait until the workers have dealt with all of it.

    When a minute passes without an answer the waiting is given up; what is missing then is for
    the check to say.

    Raises:
        WorkersError: a worker ended, or Kafka refuses a record.
    """
    options = client_options(settings)
    history = [record_of(event) for event in parts.history]
    with stages.stage("history", "Publishing past sales", total=len(history)) as stage:
        replay(
            Records(history),
            options=options,
            topic_prefix=settings.topic_prefix,
            on_stored=stage.advance,
        )

    like = next(timed.event for timed in parts.live if isinstance(timed.event, ListingCreated))
    live = with_planted(
        [record_of(event) for event in parts.live], like=like, folder=parts.training.folder
    )
    listings = sum(record.topic == LISTING_CREATED for record in live)
    stages.say(f"{listings} new listings and {len(live) - listings} sales now follow by time")

    def all_run() -> None:
        for worker in workers:
            worker.check()

    with stages.stage("live", "Answering listings", total=listings) as stage:
        replay(Records(live), options=options, topic_prefix=settings.topic_prefix)
        complete = await_records(
            options,
            [settings.topic(name) for name in ENDS],
            number=listings,
            quiet_limit=QUIET_LIMIT_S,
            check=all_run,
            on_progress=stage.reach,
        ) and await_consumed(
            options,
            settings.topic(TRANSACTIONS),
            group=f"{settings.topic_prefix}secondsight-stats",
            number=len(history) + len(live) - listings,
            time_limit=QUIET_LIMIT_S,
            check=all_run,
        )
    if not complete:
        for worker in workers:
            stages.say(f"Not everything was answered. {worker.last_words()}")
