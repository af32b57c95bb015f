"""By how much a new model may be worse, each with its reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """The margins of the gate. Errors are in natural log of price: 0.01 is about 1 %.

    Attributes:
        margin: how much worse the mean error may be at the upper confidence bound. Below 0, only
            what is better by that much is let through.
        category_margin: the same for one category, at its lower bound: a category is in the way
            only where it is surely worse.
        confidence: of the one-sided bounds.
        resamples: of the bootstrap.
        min_listings: with fewer sold listings nothing can be told.
        min_category: categories with fewer are not looked at alone.
        coverage_tolerance: how far the share that is accepted may lie from the share asked for;
            who is listed changes from month to month.
        range_tolerance: by how much the share of sold prices in the ranges may fall short; or as
            far as the champion's does by now.
        range_growth: how many times as wide as the champion's the median range may be, for else
            wide ranges would hold every price. If the champion's hold too few by now, what counts
            is how wide they would have to be.
        calibration_tolerance: expected calibration error of the confidence, beyond chance; or the
            champion's.
        poison_sales: fake sales that one seller may make.
        poison_epsilon: how far they may move the suggestions of others, in log price; or as far
            as they move the champion's, as keeping that would protect nobody.
        poison_share: of how many of these suggestions that has to be true.
        poison_least: in categories of at least so many times the fake sales that count; in one of
            three sales no model can tell the fake ones.
    """

    margin: float = 0.01
    category_margin: float = 0.05
    confidence: float = 0.95
    resamples: int = 2_000
    min_listings: int = 200
    min_category: int = 50
    coverage_tolerance: float = 0.15
    range_tolerance: float = 0.05
    range_growth: float = 1.25
    calibration_tolerance: float = 0.1
    poison_sales: int = 1_000
    poison_epsilon: float = 0.2
    poison_share: float = 0.95
    poison_least: int = 10
