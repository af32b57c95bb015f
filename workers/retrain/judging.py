"""Both models' answers to what was sold since, and the gate's verdict on them."""

from collections.abc import Sequence

import numpy as np

from models.bundle.manifest import Manifest, RuleName
from models.dataset.cleaning import PriceLimits
from models.dataset.photos import joined
from models.dataset.splits import Indices
from models.gate.answers import Answers, Floats, Sold
from models.gate.judge import judge
from models.gate.poisoning import Price
from models.gate.rules import GateRules
from models.gate.verdict import Check, Verdict
from models.pricer import Pricer
from schemas.money import minor_unit_digits
from schemas.statistics import Statistics
from workers.examples.example import Example
from workers.retrain.photos import Pictured


def judgeable(held: Pictured, seen: Pictured, limits: PriceLimits) -> Indices:
    """Return the places of the held listings that can be judged by.

    A listing that shares a photo with what the challenger learnt from is no longer unseen, and one
    absurd price would outweigh hundreds of errors.

    Args:
        held: sold listings.
        seen: what the challenger learnt from.
        limits: of rational prices.
    """
    keys = joined(seen.photos, held.photos).keys()
    before, after = keys[: len(seen.examples)], keys[len(seen.examples) :]
    known = {key for of_one in before for key in of_one}
    found = [
        place
        for place, (example, of_one) in enumerate(zip(held.examples, after, strict=True))
        if known.isdisjoint(of_one) and limits.contain(example.sold_minor)
    ]
    return np.array(found, np.int64)


def answers_of(pricer: Pricer, held: Pictured) -> Answers:
    """Return what a model says of listings, with the statistics that they were served with.

    A listing without a sound photo is refused before the gate, as in serving.
    """
    estimates = pricer.estimate(
        held.photos.features,
        [example.statistics for example in held.examples],
        [example.category for example in held.examples],
        fall_back=False,
    )
    whole = 10 ** minor_unit_digits(pricer.currency)
    sound = held.photos.sound

    def log(prices: list[int]) -> Floats:
        found: Floats = np.log(np.asarray(prices, np.float64) / whole)
        return found

    qualified = np.array([each.qualified for each in estimates], np.bool_)
    scores = np.array([each.score for each in estimates], np.float64)
    return Answers(
        log_price=log([each.price_minor for each in estimates]),
        log_low=log([each.low_minor for each in estimates]),
        log_high=log([each.high_minor for each in estimates]),
        score=np.where(sound, scores, scores.min(initial=0.0) - 1.0),
        qualified=qualified & sound,
        confidence=np.array([each.confidence for each in estimates], np.float64),
    )


def priced_with(pricer: Pricer, held: Pictured) -> Price:
    """Return what a model says of listings when it is told other statistics of their market."""
    categories = [example.category for example in held.examples]
    whole = 10 ** minor_unit_digits(pricer.currency)

    def price(statistics: Sequence[Statistics]) -> Floats:
        estimates = pricer.estimate(held.photos.features, statistics, categories, fall_back=False)
        prices = np.array([each.price_minor for each in estimates], np.float64)
        found: Floats = np.log(prices / whole)
        return found

    return price


def verdict_on(
    challenger: Answers,
    champion: Answers | None,
    held: Sequence[Example],
    manifest: Manifest,
    *,
    rules: GateRules,
    seed: int,
    further: tuple[Check, ...] = (),
) -> Verdict:
    """Return the gate's verdict.

    Args:
        challenger: its answers to the held listings.
        champion: the champion's, None where there is none.
        held: the listings `[N]`, all sold.
        manifest: of the challenger.
        rules: of the gate.
        seed: of its bootstrap.
        further: checks made elsewhere.
    """
    whole = 10 ** minor_unit_digits(manifest.currency)
    prices = np.array([example.sold_minor for example in held], np.float64) / whole
    by_share = manifest.rule.name is RuleName.PERCENTILE
    return judge(
        champion,
        challenger,
        Sold(
            log_price=np.log(prices),
            categories=[example.category for example in held],
            sellers=[example.seller_id for example in held],
        ),
        rules=rules,
        range_probability=manifest.ranges.probability,
        epsilon=manifest.confidence.epsilon,
        coverage=manifest.rule.delta if by_share else None,
        seed=seed,
        further=further,
    )
