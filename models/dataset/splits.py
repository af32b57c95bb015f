"""Training, validation and test parts that share no photo, and without times no seller."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.dataset.rows import ListingRow

VALIDATION_SHARE = 0.15
TEST_SHARE = 0.10

Indices = npt.NDArray[np.int64]

_LEFT_OUT = 3  # after the parts 0, 1 and 2


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of the listings of each part, ascending; no listing is in two of the four.

    `left_out` are those of a later time whose photo an earlier part has: they would be measured
    with what was learnt from them. There are none where there are no times.

    `groups` `[N]` numbers what belongs together within a part: listings of one photo, and without
    times of one seller. What is left out of a fit to be judged by it is left out with its group.
    """

    train: Indices
    validation: Indices
    test: Indices
    left_out: Indices
    groups: Indices


def has_times(listings: Sequence[ListingRow]) -> bool:
    """Tell whether every listing says when it was listed, so that parts can follow each other."""
    return bool(listings) and all(listing.listed_at is not None for listing in listings)


def split_listings(
    listings: Sequence[ListingRow],
    photo_keys: Sequence[Sequence[Hashable]],
    *,
    seed: int,
    validation_share: float = VALIDATION_SHARE,
    test_share: float = TEST_SHARE,
) -> Split:
    """Divide listings so that what is measured was never trained on.

    With times the earlier listings are for training and the latest for the test. A listing that
    shares a photo with one of an earlier part is left out: so no part is trained on its own
    future, and one stock photo of many listings costs the training none of them.

    Without times the parts are random by `seed`, and the listings that share a photo or a seller,
    directly or over others, stay together: a seller repeats items, photos and prices.

    Args:
        listings: all listings, in any order.
        photo_keys: for each listing, what identifies its photos; two photos with one key are one.
        seed: of the random parts; unused with times.
        validation_share: of all listings, in [0, 1).
        test_share: of all listings, in [0, 1).
    """
    if has_times(listings):
        groups = _connected(photo_keys)
        part = _parts_by_time(listings, photo_keys, validation_share, test_share)
    else:
        groups = _connected(_with_sellers(listings, photo_keys))
        part = _parts_at_random(len(listings), groups, seed, validation_share, test_share)
    group_of = np.empty(len(listings), dtype=np.int64)
    for number, items in enumerate(groups):
        group_of[items] = number
    train, validation, test, left_out = (np.flatnonzero(part == number) for number in range(4))
    return Split(train, validation, test, left_out, group_of)


def _with_sellers(
    listings: Sequence[ListingRow], photo_keys: Sequence[Sequence[Hashable]]
) -> list[list[Hashable]]:
    keys: list[list[Hashable]] = [[("photo", key) for key in of_one] for of_one in photo_keys]
    for of_one, listing in zip(keys, listings, strict=True):
        if listing.seller_id is not None:
            of_one.append(("seller", listing.seller_id))
    return keys


def _connected(keys: Sequence[Sequence[Hashable]]) -> list[list[int]]:
    """Group the items that share a key, directly or over others (union-find)."""
    parent = list(range(len(keys)))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    first_with: dict[Hashable, int] = {}
    for item, of_one in enumerate(keys):
        for key in of_one:
            parent[root(item)] = root(first_with.setdefault(key, item))
    groups: dict[int, list[int]] = {}
    for item in range(len(keys)):
        groups.setdefault(root(item), []).append(item)
    return list(groups.values())


def _parts_by_time(
    listings: Sequence[ListingRow],
    photo_keys: Sequence[Sequence[Hashable]],
    validation_share: float,
    test_share: float,
) -> Indices:
    count = len(listings)
    moments = [listing.listed_at.timestamp() for listing in listings if listing.listed_at]
    order = np.argsort(moments, kind="stable")
    ends = [round(count * (1 - validation_share - test_share)), round(count * (1 - test_share))]
    part = np.full(count, _LEFT_OUT, dtype=np.int64)
    seen: set[Hashable] = set()
    for number, items in enumerate(np.split(order, ends)):
        new = [item for item in items if seen.isdisjoint(photo_keys[item])]
        part[new] = number
        seen.update(key for item in new for key in photo_keys[item])
    return part


def _parts_at_random(
    count: int, groups: list[list[int]], seed: int, validation_share: float, test_share: float
) -> Indices:
    part = np.zeros(count, dtype=np.int64)
    room = {2: round(count * test_share), 1: round(count * validation_share)}
    for index in np.random.default_rng(seed).permutation(len(groups)):
        group = groups[index]
        # a group too large for the room left (one stock photo, one big seller) is for training
        for number in room:
            if len(group) <= room[number]:
                part[group] = number
                room[number] -= len(group)
                break
    return part
