from collections.abc import Hashable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.dataset.rows import ListingRow
from models.dataset.splits import Split, has_times, split_listings

START = datetime(2026, 1, 1, tzinfo=UTC)


def row(number: int, *, seller: str | None = None, day: int | None = None) -> ListingRow:
    return ListingRow(
        listing_id=f"l{number}",
        seller_id=seller,
        category=None,
        images=(Path(f"{number}.jpg"),),
        price_minor=100,
        currency="GBP",
        listed_at=None if day is None else START + timedelta(days=day),
        sold_at=None,
        brand=None,
        attributes=(),
        specifications={},
        title=None,
    )


def part_of(split: Split) -> dict[int, str]:
    named = {"train": split.train, "validation": split.validation, "test": split.test}
    return {int(item): name for name, items in named.items() for item in items}


def test_with_times_the_parts_follow_each_other() -> None:
    days = np.random.default_rng(0).permutation(100)
    listings = [row(n, day=int(day), seller="one seller") for n, day in enumerate(days)]
    split = split_listings(listings, [[n] for n in range(100)], seed=0)
    assert sorted(days[split.train]) == list(range(75))
    assert sorted(days[split.validation]) == list(range(75, 90))
    assert sorted(days[split.test]) == list(range(90, 100))


def test_with_times_a_repeated_photo_takes_all_its_listings_to_the_latest_part() -> None:
    keys: list[list[Hashable]] = [[n] for n in range(100)]
    keys[3], keys[80], keys[95] = ["p"], ["p", "q"], ["r"]
    keys[4], keys[5] = ["q"], ["r"]
    split = split_listings([row(n, day=n) for n in range(100)], keys, seed=0)
    parts = part_of(split)
    assert {n: parts[n] for n in (3, 4, 80, 5, 95)} == {
        3: "validation",
        4: "validation",
        80: "validation",
        5: "test",
        95: "test",
    }


def test_without_times_the_parts_are_random_by_seed() -> None:
    listings = [row(n) for n in range(200)]
    keys = [[n] for n in range(200)]
    first, again, other = (part_of(split_listings(listings, keys, seed=s)) for s in (1, 1, 2))
    assert first == again != other
    assert sorted(first.values()).count("validation") == 30
    assert sorted(first.values()).count("test") == 20


def test_a_group_too_large_for_the_room_is_for_training() -> None:
    listings = [row(n, seller="shop" if n < 150 else None) for n in range(200)]
    split = split_listings(listings, [[n] for n in range(200)], seed=3)
    assert set(range(150)) <= set(split.train.tolist())


def test_one_listing_without_time_makes_the_parts_random() -> None:
    listings = [row(n, day=n) for n in range(50)]
    assert has_times(listings)
    assert not has_times([*listings, row(50)])
    assert not has_times([])


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 20), max_size=3), st.sampled_from([None, "a", "b", "c"])),
        max_size=60,
    ),
    st.booleans(),
    st.integers(0, 5),
)
def test_every_listing_once_and_nothing_shared_between_parts(
    drawn: Sequence[tuple[list[int], str | None]], timed: bool, seed: int
) -> None:
    listings = [row(n, seller=s, day=n if timed else None) for n, (_, s) in enumerate(drawn)]
    keys = [photos for photos, _ in drawn]
    split = split_listings(listings, keys, seed=seed)
    parts = part_of(split)
    assert sorted(parts) == list(range(len(listings)))
    assert len(split.train) + len(split.validation) + len(split.test) == len(listings)
    for one in range(len(listings)):
        for two in range(one):
            same_photo = set(keys[one]) & set(keys[two])
            seller = listings[one].seller_id
            same_seller = seller is not None and seller == listings[two].seller_id
            if same_photo or (same_seller and not timed):
                assert parts[one] == parts[two]
