"""What the facts about one listing come to: a training example, and scores of its answers.

Pure: the same set of facts gives the same results, in whatever order and however often they came.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from schemas.suggestion import SuggestionScored
from workers.examples.example import Decision, Example, Outcome
from workers.outcomes.facts import Answered, Censored, Fact, Listed, Sold, TakenBack

_SCORES = UUID("b5a4bb1c-3f52-4a54-9d0f-6f6f1b9f6d5e")  # the name space of their ids; drawn once
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Scored:
    """A score with its id, which is the same whenever it is worked out."""

    id: str
    event: SuggestionScored


class Case:
    """One listing of one seller.

    A listing that was changed has several versions, each with its own answer, told by the event's
    id. A sale is of the version that was listed last before it, or of the first one.

    Args:
        seller_id: whose it is.
        listing_id: of the listing.
        facts: all that is known of it; no two under one key.
    """

    def __init__(self, seller_id: str, listing_id: str, facts: Iterable[Fact]) -> None:
        self._seller_id = seller_id
        self._listing_id = listing_id
        self._facts = list(facts)
        self._listed: dict[str, Listed] = {}
        self._answered: dict[str, Answered] = {}
        self._sales: list[Sold] = []
        self._refunds: dict[str, list[int | None]] = {}
        self._censored: Censored | None = None
        for fact in self._facts:
            match fact:
                case Listed():
                    self._listed[fact.event_id] = fact
                case Answered():
                    self._answered[fact.event_id] = fact
                case Sold():
                    self._sales.append(fact)
                case TakenBack():
                    self._refunds.setdefault(fact.transaction_id, []).append(fact.refunded_minor)
                case Censored():
                    self._censored = fact
        self._sales.sort(key=lambda sale: (sale.at, sale.transaction_id))
        times = {version: fact.at for version, fact in self._answered.items()}
        times |= {version: fact.at for version, fact in self._listed.items()}
        self._versions = sorted((at, version) for version, at in times.items())

    @property
    def listed_at(self) -> datetime | None:
        """When its last version was listed, UTC; None while no listing is known."""
        return max((fact.at for fact in self._listed.values()), default=None)

    @property
    def known_at(self) -> datetime:
        """The time of the latest fact, UTC."""
        return max(fact.at for fact in self._facts)

    @property
    def sales(self) -> int:
        """How many sales of it are known."""
        return len(self._sales)

    def scores(self, transaction_ids: Iterable[str] | None = None) -> list[Scored]:
        """Score the answer that each sale followed, at the price it was made for.

        A refund changes no score. Sales without an answer, or in another currency, have none.

        Args:
            transaction_ids: of the sales to score; None is all.
        """
        wanted = None if transaction_ids is None else set(transaction_ids)
        found = []
        for sale in self._sales:
            answer = self._answered.get(self._version(sale))
            if answer is None or (wanted is not None and sale.transaction_id not in wanted):
                continue
            if answer.currency in (None, sale.currency):
                found.append(self._score(sale, answer))
        return found

    def example(self) -> Example | None:
        """Return what is to be learned from it, or None as long as nothing came of it.

        Of several sales the first that stands counts. Nothing is learned from a thing that was
        sold in another currency only.
        """
        refused: Example | None = None
        for sale in self._sales:
            listed = self._listed.get(self._version(sale))
            if listed is None:
                continue
            left = self._left(sale)
            example = self._example(listed, sale, left)
            if example.currency != sale.currency:
                continue
            if left > 0:
                return example
            refused = refused or example
        if refused is not None or self._sales:
            return refused
        if self._censored is None or self._censored.listed_at != self.listed_at:
            return None
        last = max(self._listed.values(), key=lambda fact: (fact.at, fact.event_id))
        return self._example(last, None, 0)

    def _version(self, sale: Sold) -> str:
        version = ""
        for at, candidate in self._versions:
            if not version or at <= sale.at:
                version = candidate
        return version

    def _left(self, sale: Sold) -> int:
        """Return what of the price was not paid back, in minor units; 0 where all of it was."""
        refunds = self._refunds.get(sale.transaction_id, [])
        if None in refunds:
            return 0
        return max(0, sale.price_minor - max((refund or 0 for refund in refunds), default=0))

    def _score(self, sale: Sold, answer: Answered) -> Scored:
        name = json.dumps([self._seller_id, self._listing_id, sale.transaction_id, answer.event_id])
        suggested, sold = answer.price_minor, sale.price_minor
        event = SuggestionScored(
            listing_id=self._listing_id,
            seller_id=self._seller_id,
            category=answer.category,
            transaction_id=sale.transaction_id,
            currency=sale.currency,
            suggested_minor=suggested,
            sold_minor=sold,
            log_error=None if suggested is None else math.log(suggested / sold),
            within_20_percent=None if suggested is None else 5 * abs(suggested - sold) <= sold,
            inside_range=_between(answer.low_minor, sold, answer.high_minor),
            days_to_sale=max(0.0, (sale.at - answer.at).total_seconds() / _SECONDS_A_DAY),
            model_version=answer.model_version,
            sold_at=sale.at,
            control=answer.control or None,
        )
        return Scored(str(uuid5(_SCORES, name)), event)

    def _example(self, listed: Listed, sale: Sold | None, left: int) -> Example:
        listing = listed.listing()
        answer = self._answered.get(listed.event_id)
        outcome = Outcome.SOLD if left else Outcome.REVERSED
        return Example(
            listing_id=self._listing_id,
            revision=len(self._facts),
            known_at=self.known_at,
            seller_id=self._seller_id,
            category=listing.category,
            currency=listing.currency,
            images=listing.images,
            brand=listing.brand,
            attributes=listing.attributes,
            specifications=listing.specifications,
            listed_at=listing.listed_at,
            statistics=listing.statistics,
            decision=_decision(answer),
            suggested_minor=answer and answer.price_minor,
            low_minor=answer and answer.low_minor,
            high_minor=answer and answer.high_minor,
            confidence=answer and answer.confidence,
            reasons=() if answer is None else answer.reasons,
            model_version=answer and answer.model_version,
            control=answer is not None and answer.control,
            outcome=Outcome.CENSORED if sale is None else outcome,
            sold_minor=left or None,
            transaction_id=sale and sale.transaction_id,
            sold_at=sale.at if sale is not None and left else None,
        )


def _decision(answer: Answered | None) -> Decision:
    if answer is None:
        return Decision.NONE
    return Decision.REUPLOAD if answer.price_minor is None else Decision.PRICE


def _between(low: int | None, price: int, high: int | None) -> bool | None:
    return None if low is None or high is None else low <= price <= high
