"""What each worker does with the topics of the contract, said once.

The workers take their inputs from here, and the access lists of the brokers are made from it
(`deploy/kafka.py`), so that a worker is allowed what it does and no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.dead_letter import dead_letter_topic
from schemas.topics import (
    LISTING_CREATED,
    LISTING_ENRICHED,
    MODELS,
    OUTCOMES_CHANGELOG,
    PRICE_SHADOW,
    PRICE_SUGGESTED,
    REUPLOAD_REQUESTED,
    STATS_CHANGELOG,
    STATS_PARTIALS,
    SUGGESTION_SCORED,
    TOPICS,
    TRANSACTIONS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What one worker reads and writes, by the topics' names in the contract.

    Attributes:
        name: of the worker: "stats". Its group is `secondsight-stats`.
        inputs: read as a member of its group, the leading one first.
        follows: read whole, outside of any group.
        outputs: written.
        transactional: it writes in transactions whose ids begin with its group's name and `-`.
        sends_on: it writes to its inputs too: records in a wrong partition are sent on.
        sets_aside: what it cannot process goes to the dead-letter topics of what it reads.
    """

    name: str
    inputs: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    transactional: bool = False
    sends_on: bool = False
    sets_aside: bool = True

    @property
    def reads(self) -> frozenset[str]:
        """All topics that it reads."""
        return frozenset({*self.inputs, *self.follows})

    @property
    def writes(self) -> frozenset[str]:
        """All topics that it writes, those for dead letters among them."""
        bad = (topic for topic in self.reads if self.sets_aside and TOPICS[topic].dead_letters)
        return frozenset(
            {
                *self.outputs,
                *(self.inputs if self.sends_on else ()),
                *map(dead_letter_topic, bad),
            }
        )


STATS = Access(
    name="stats",
    inputs=(TRANSACTIONS, LISTING_CREATED),
    follows=(STATS_CHANGELOG, STATS_PARTIALS),
    outputs=(LISTING_ENRICHED, STATS_CHANGELOG, STATS_PARTIALS),
    transactional=True,
    sends_on=True,
)

SUGGEST = Access(
    name="suggest",
    inputs=(LISTING_ENRICHED,),
    follows=(MODELS,),
    outputs=(PRICE_SUGGESTED, REUPLOAD_REQUESTED, PRICE_SHADOW),
    transactional=True,
    sends_on=True,
)

OUTCOMES = Access(
    name="outcomes",
    inputs=(LISTING_ENRICHED, PRICE_SUGGESTED, REUPLOAD_REQUESTED, PRICE_SHADOW, TRANSACTIONS),
    follows=(OUTCOMES_CHANGELOG,),
    outputs=(SUGGESTION_SCORED, OUTCOMES_CHANGELOG),
    sends_on=True,
)

RETRAIN = Access(name="retrain", follows=(MODELS,), outputs=(MODELS,), sets_aside=False)

DRIFT = Access(name="drift", follows=(MODELS,), sets_aside=False)

ACCESS: Mapping[str, Access] = {
    each.name: each for each in (STATS, SUGGEST, OUTCOMES, RETRAIN, DRIFT)
}
"""The workers and jobs that read or write topics, by name."""
