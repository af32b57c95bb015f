"""How much one seller may teach: so much that his sales cannot set the prices of a category."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from workers.examples.example import Example

LEAST = 20  # of one seller in one category, which may always be learnt from


def uncrowded(examples: Sequence[Example], share: float) -> list[Example]:
    """Leave out what one seller has in a category beyond a share of what the others have there.

    His newest stay. Who lists and sells to himself teaches a model his prices; of the examples of
    a category, at most `share / (1 + share)` are his then, as long as the category is not tiny.

    Args:
        examples: of a window.
        share: of the examples of the others, in the category; 0: no limit.

    Returns:
        The examples that stay, in the order in which they came.
    """
    if not share:
        return list(examples)
    of_category = Counter(each.category for each in examples)
    theirs: dict[tuple[str, str], list[Example]] = defaultdict(list)
    for each in examples:
        theirs[each.category, each.seller_id].append(each)
    gone: set[str] = set()
    for (category, _), found in theirs.items():
        most = max(LEAST, int(share * (of_category[category] - len(found))))
        if len(found) > most:
            found.sort(key=lambda each: (each.known_at, each.listing_id))
            gone.update(each.listing_id for each in found[: len(found) - most])
    return [each for each in examples if each.listing_id not in gone]
