"""Which examples a retraining learns from: the last days, and some older ones of rare categories.

Sources of the trade: all of the past is more, and of another market; docs/decisions/0064.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from workers.errors import BadDataError
from workers.examples.example import Example, Outcome
from workers.examples.store import ExampleStore
from workers.retrain.crowding import uncrowded

# A damaged part cannot be mended; a few cost little, many say that something is wrong.
MAX_DAMAGED_SHARE = 0.05
_OLDEST_WINDOWS = 4  # how far back the floor of rare categories looks, in windows


@dataclass(frozen=True, slots=True)
class Window:
    """Examples to learn from, all in one currency, and what was left out.

    Attributes:
        examples: by `listed_at`, then id.
        currency: of all their prices.
        parts: how many parts were read.
        damaged: parts that could not be read, each as a sentence.
        older: how many of the examples are from before the window.
        ahead: how many were set aside since their times lie in the future.
        other_currency: how many were set aside since they are in another currency.
        crowded: how many were left out since their seller has too many in the category.
    """

    examples: Sequence[Example]
    currency: str
    parts: int
    damaged: Sequence[str]
    older: int
    ahead: int
    other_currency: int
    crowded: int

    @property
    def sold(self) -> list[Example]:
        """Return those with a sold price."""
        return [example for example in self.examples if is_sold(example)]

    @property
    def categories(self) -> int:
        """Return how many categories there are."""
        return len({example.category for example in self.examples})


def is_sold(example: Example) -> bool:
    """Tell whether an example has a price to learn from."""
    return example.outcome is Outcome.SOLD and bool(example.sold_minor)


def read_window(
    store: ExampleStore,
    *,
    now: datetime,
    days: int,
    floor: int,
    seller_share: float,
    max_ahead: timedelta,
    currency: str | None,
) -> Window:
    """Read the examples that became known in the last days, and the floor of older ones.

    Args:
        store: where they lie.
        now: the end of the window, UTC.
        days: its length.
        floor: a category with fewer examples in the window gets its newest older ones up to that
            many, from the three windows before.
        seller_share: see `workers.retrain.crowding.uncrowded`.
        max_ahead: an example whose times are further ahead of `now` is set aside: some clock was
            wrong, and its statistics may be of another time.
        currency: of the champion; by default that of most examples.

    Raises:
        BadDataError: nothing is there, or too much of it is damaged.
        WorkersError: the storage cannot be read.
    """
    read = store.read(now - timedelta(days=days * _OLDEST_WINDOWS))
    _check_parts(read.parts, read.damaged)
    latest = now + max_ahead
    sane = [each for each in read.examples if max(each.known_at, each.listed_at) <= latest]
    if not sane:
        raise BadDataError(
            f"no training example became known in the last {days * _OLDEST_WINDOWS} days"
            + (f"; {len(read.examples)} lie in the future" if read.examples else "")
            + ": is the outcomes worker running, and SECONDSIGHT_EXAMPLES_URL the same there?"
        )
    currency = currency or _most_frequent(each.currency for each in sane)
    ours = [each for each in sane if each.currency == currency == each.statistics.currency]
    start = now - timedelta(days=days)
    known = [each for each in ours if each.known_at >= start]
    inside = uncrowded(known, seller_share)
    before = [each for each in ours if each.known_at < start]
    # the floor, too: rare categories are where a few fake sales weigh most
    older = uncrowded(_floor(before, inside, floor), seller_share)
    if not inside:
        raise BadDataError(
            f"no training example in {currency} became known in the last {days} days: make the "
            "window longer"
        )
    return Window(
        examples=sorted([*inside, *older], key=lambda each: (each.listed_at, each.listing_id)),
        currency=currency,
        parts=read.parts,
        damaged=read.damaged,
        older=len(older),
        ahead=len(read.examples) - len(sane),
        other_currency=len(sane) - len(ours),
        crowded=len(known) - len(inside),
    )


def _check_parts(parts: int, damaged: Sequence[str]) -> None:
    if len(damaged) > MAX_DAMAGED_SHARE * (parts + len(damaged)):
        raise BadDataError(
            f"{len(damaged)} of {parts + len(damaged)} parts of the examples are damaged, more "
            f"than {MAX_DAMAGED_SHARE:.0%}; delete them to go on without: {'; '.join(damaged)}"
        )


def _floor(older: Sequence[Example], inside: Sequence[Example], floor: int) -> list[Example]:
    """Return the newest of the older examples that fill categories up to the floor."""
    count = Counter(each.category for each in inside)
    taken = []
    for each in sorted(older, key=lambda each: (each.known_at, each.listing_id), reverse=True):
        if count[each.category] < floor:
            count[each.category] += 1
            taken.append(each)
    return taken


def _most_frequent(values: Iterable[str]) -> str:
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))
