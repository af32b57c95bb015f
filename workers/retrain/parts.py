"""What a challenger learns from, and what it is judged on: the newest that was sold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from workers.examples.example import Example
from workers.retrain.window import is_sold

HELD_SHARE = 0.15
HELD_LEAST = 200  # sold listings; below, the gate's intervals are too wide to tell anything


@dataclass(frozen=True, slots=True)
class Parts:
    """Examples of two times.

    Attributes:
        learnt: listed before the earliest of `held`, whatever came of them.
        held: sold, listed since; seen by neither model.
        champion_saw: how many sold listings of the newest were left out of `held`, since the
            champion learnt from their time.
    """

    learnt: Sequence[Example]
    held: Sequence[Example]
    champion_saw: int


def divide(
    examples: Sequence[Example],
    *,
    champion_until: datetime | None,
    share: float = HELD_SHARE,
    least: int = HELD_LEAST,
) -> Parts:
    """Divide examples by the time of listing.

    Args:
        examples: by `listed_at`.
        champion_until: when the latest listing that the champion knows was listed; None where
            there is no champion, or it knows none of the stream.
        share: of the sold listings to hold, the newest.
        least: hold at least that many, but no more than half of them.
    """
    sold = [each for each in examples if is_sold(each)]
    count = min(max(round(len(sold) * share), least), len(sold) // 2)
    newest = sold[len(sold) - count :]
    if not newest:
        return Parts(examples, (), 0)
    held = [each for each in newest if champion_until is None or each.listed_at > champion_until]
    start = (held or newest)[0].listed_at
    learnt = [each for each in examples if each.listed_at < start]
    return Parts(learnt, held, len(newest) - len(held))
