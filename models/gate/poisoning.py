"""Whether a seller's fake sales can move what others are told to ask.

One seller alone reaches the others by the statistics of their category and of all. Of his sales
only so many count there (`stats_store.rules.Rules.seller_cap`), and their mean is fenced by the
quartiles (`stats_store.features`). How far a network carries what is left is measured here, on the
listings that it is judged by.
"""

from collections.abc import Callable, Sequence

import numpy as np

from models.bundle.snapshot import SalesSnapshot
from models.gate.answers import Floats
from models.gate.rules import GateRules
from models.gate.verdict import Check
from schemas.money import MAX_MINOR_UNITS
from schemas.statistics import Scope, ScopeStatistics, Statistics
from stats_store.histogram import PriceHistogram

Price = Callable[[Sequence[Statistics]], Floats]
"""A model's answers to the judged listings, with other statistics: natural log of price `[N]`."""

# Prices of fake sales, as multiples of the category's median: just beside it, and past all limits.
_FACTORS = (1 / MAX_MINOR_UNITS, 0.3, 3.0, float(MAX_MINOR_UNITS))


def poisoning_check(
    challenger: Price,
    champion: Price | None,
    served: Sequence[Statistics],
    categories: Sequence[str],
    sold: SalesSnapshot,
    *,
    seller_cap: int,
    rules: GateRules,
) -> Check:
    """Add one seller's fake sales to the category of each listing, and see what its price does.

    Of the four attacks (all fake sales at one price: the lowest there is, 0.3 and 3 times the
    median, the highest there is) the one counts that moves a listing furthest. The sales are
    those of another seller, so the listing's own seller is left out.

    Args:
        challenger: the new model.
        champion: the one in use, None where there is none.
        served: `[N]`, of the judged listings.
        categories: `[N]`.
        sold: what was sold, for the shape of each category's prices; how many sales there were
            is in `served`.
        seller_cap: of one seller only so many sales count for others; 0: all of them.
        rules: how many sales, and how far they may move how many.

    Returns:
        Without a cap nothing holds such a seller back, whatever the model: then it is told how
        far he gets, and lets the model through.
    """
    fakes = min(rules.poison_sales, seller_cap or rules.poison_sales)
    after = [
        [
            attacked(each, sold, category, fakes, factor)
            for each, category in zip(served, categories, strict=True)
        ]
        for factor in _FACTORS
    ]
    sales = np.array([each.category.count for each in served])
    least = rules.poison_least * fakes if seller_cap else 0
    large = sales >= least
    moved = _moved_by(challenger, served, after)
    reached = _reached(moved[large], rules)
    says = (
        f"{rules.poison_sales} fake sales of one seller in a listing's category, of which {fakes} "
        f"count, move {rules.poison_share:.0%} of the suggestions by at most {reached:.3f}, "
        f"{rules.poison_epsilon:.3f} is allowed, where there were {least} "
        f"sales before ({large.mean() if len(large) else 0:.0%} of the listings)"
    )
    figures = {
        "moved": reached,
        "worst": float(moved.max(initial=0.0)),
        "counted": fakes,
        "listings": int(large.sum()),
    }
    allowed = rules.poison_epsilon
    if champion is not None:
        figures["champion"] = _reached(_moved_by(champion, served, after)[large], rules)
        allowed = max(allowed, figures["champion"])
        says += f", or the champion's {figures['champion']:.3f}"
    if not seller_cap:
        says += "; not in the way, as no model helps while SECONDSIGHT_SELLER_CAP is 0"
    return Check("fake sales", reached <= allowed or not seller_cap, says, figures)


def _moved_by(
    price: Price, served: Sequence[Statistics], after: Sequence[Sequence[Statistics]]
) -> Floats:
    """Return how far the attack that is worst for it moves each listing's price, `[N]`."""
    honest = price(served)
    moved: Floats = np.max([np.abs(price(attack) - honest) for attack in after], axis=0)
    return moved


def _reached(moved: Floats, rules: GateRules) -> float:
    return float(np.quantile(moved, rules.poison_share)) if len(moved) else 0.0


def attacked(
    served: Statistics, sold: SalesSnapshot, category: str, fakes: int, factor: float
) -> Statistics:
    """Return a listing's statistics after fake sales in its category.

    Args:
        served: as they were.
        sold: for the shape of the honest prices.
        category: of the listing.
        fakes: how many sales are added, all at one price.
        factor: that price, as a multiple of the category's median; kept in the possible.
    """
    fake = max(1, min(MAX_MINOR_UNITS, round((served.category.q2 or 1) * factor)))
    overall = _with_fakes(served.overall, sold.overall, fakes, fake, Scope.GLOBAL)
    of_category = _with_fakes(
        served.category, sold.categories.get(category), fakes, fake, Scope.CATEGORY
    )
    seller = served.seller
    if seller.count == 0:  # his numbers are those of the next wider scope
        seller = of_category.model_copy(update={"count": 0})
    return Statistics(
        currency=served.currency, seller=seller, category=of_category, overall=overall
    )


def _with_fakes(
    before: ScopeStatistics,
    sold: PriceHistogram | None,
    fakes: int,
    fake: int,
    scope: Scope,
) -> ScopeStatistics:
    """Return the numbers of a scope with fake sales among its own."""
    if before.count == 0:
        return ScopeStatistics(q1=fake, q2=fake, q3=fake, mean=fake, count=fakes, source=scope)
    mean = (before.mean * before.count + fake * fakes) // (before.count + fakes)
    if sold is None or not sold.count:  # nothing tells the shape: all that is known is three prices
        sold = PriceHistogram()
        sold.add_many([before.q1, before.q2, before.q3])
    # as the honest prices lie in `sold`, with the share of fake ones that there is in the scope
    share = fakes / (before.count + fakes)
    q1, q2, q3 = (
        _moved_quantile(at, sold, level, share, fake)
        for at, level in ((before.q1, 0.25), (before.q2, 0.5), (before.q3, 0.75))
    )
    q1, q2, q3 = sorted((q1, q2, q3))
    return ScopeStatistics(
        q1=q1,
        q2=q2,
        q3=q3,
        mean=max(1, min(MAX_MINOR_UNITS, mean)),
        count=before.count + fakes,
        source=scope,
    )


def _moved_quantile(at: int, sold: PriceHistogram, level: float, share: float, fake: int) -> int:
    """Return where a quantile goes when `share` of all prices is `fake`.

    The quantile of the mixture lies at the honest level `level / (1 - share)` if that is below
    the fake price, at `(level - share) / (1 - share)` if that is above it, else at the fake price.
    The quantile as served moves by the same factor as that of `sold`.
    """
    below, above = level / (1 - share), (level - share) / (1 - share)
    if below <= 1 and _quantile(sold, below) < fake:
        reached = below
    elif above > 0 and _quantile(sold, above) > fake:
        reached = above
    else:
        return fake
    moved = at * _quantile(sold, reached) / _quantile(sold, level)
    return max(1, min(MAX_MINOR_UNITS, round(moved)))


def _quantile(sold: PriceHistogram, level: float) -> int:
    return sold.quantile(round(level * 10_000), 10_000)
