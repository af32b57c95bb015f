"""Training, validation and test parts that share no photo, and no seller's repeats."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.dataset.rows import ListingRow

VALIDATION_SHARE = 0.15
TEST_SHARE = 0.10

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of the listings of each part, ascending; together every listing once."""

    train: Indices
    validation: Indices
    test: Indices


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

    With times the earlier listings are for training and the latest for the test. Listings that
    share a photo go together to the latest part that any of them belongs to, so no part is
    trained on its own future. Without times the parts are random by `seed`, and the
    listings of one seller stay together too: a seller repeats items, photos and prices.

    Args:
        listings: all listings, in any order.
        photo_keys: for each listing, what identifies its photos (their SHA-256).
        seed: of the random parts; unused with times.
        validation_share: of all listings, in [0, 1).
        test_share: of all listings, in [0, 1).
    """
    timed = has_times(listings)
    keys: list[list[Hashable]] = [[("photo", key) for key in of_one] for of_one in photo_keys]
    if not timed:
        for of_one, listing in zip(keys, listings, strict=True):
            if listing.seller_id is not None:
                of_one.append(("seller", listing.seller_id))
    groups = _connected(keys)
    if timed:
        part = _parts_by_time(listings, groups, validation_share, test_share)
    else:
        part = _parts_at_random(len(listings), groups, seed, validation_share, test_share)
    train, validation, test = (np.flatnonzero(part == number) for number in range(3))
    return Split(train, validation, test)


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
    groups: list[list[int]],
    validation_share: float,
    test_share: float,
) -> Indices:
    count = len(listings)
    moments = [listing.listed_at.timestamp() for listing in listings if listing.listed_at]
    order = np.argsort(moments, kind="stable")
    part = np.zeros(count, dtype=np.int64)
    part[order[round(count * (1 - validation_share - test_share)) :]] = 1
    part[order[round(count * (1 - test_share)) :]] = 2
    for group in groups:
        part[group] = part[group].max()
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
