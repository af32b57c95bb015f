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


def test_with_times_a_photo_that_an_earlier_part_has_is_left_out() -> None:
    keys: list[list[Hashable]] = [[n] for n in range(100)]
    keys[3], keys[80], keys[95] = ["p"], ["p", "q"], ["q"]
    keys[5], keys[4], keys[96], keys[76], keys[97] = ["r"], ["r"], ["r", 96], ["s"], ["s"]
    split = split_listings([row(n, day=n) for n in range(100)], keys, seed=0)
    assert split.left_out.tolist() == [80, 96, 97]
    # what 95 shares with 80 alone was learnt from nobody
    assert {n: part_of(split)[n] for n in (3, 4, 5, 76, 95)} == {
        3: "train",
        4: "train",
        5: "train",
        76: "validation",
        95: "test",
    }


def test_with_times_one_photo_of_half_of_the_listings_leaves_the_training_whole() -> None:
    keys = [["stock photo"] if n % 2 else [n] for n in range(100)]
    split = split_listings([row(n, day=n) for n in range(100)], keys, seed=0)
    assert split.train.tolist() == list(range(75))
    assert split.validation.tolist() == list(range(76, 90, 2))
    assert split.test.tolist() == list(range(90, 100, 2))


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


photos = st.lists(st.integers(0, 20), max_size=3)
seller_names = st.sampled_from([None, "a", "b", "c"])


def shared(one: Sequence[int], others: Sequence[Sequence[int]]) -> bool:
    return any(set(one) & set(other) for other in others)


@given(st.lists(st.tuples(photos, seller_names), max_size=60), st.integers(0, 5))
def test_without_times_every_listing_once_and_nothing_shared_between_parts(
    drawn: Sequence[tuple[list[int], str | None]], seed: int
) -> None:
    listings = [row(n, seller=seller) for n, (_, seller) in enumerate(drawn)]
    keys = [of_one for of_one, _ in drawn]
    split = split_listings(listings, keys, seed=seed)
    parts = part_of(split)
    assert sorted(parts) == list(range(len(listings)))
    assert len(split.train) + len(split.validation) + len(split.test) == len(listings)
    assert len(split.left_out) == 0
    for one in range(len(listings)):
        for two in range(one):
            same_seller = drawn[one][1] is not None and drawn[one][1] == drawn[two][1]
            if same_seller or set(keys[one]) & set(keys[two]):
                assert parts[one] == parts[two]


@given(
    st.lists(st.tuples(photos, seller_names, st.integers(0, 30)), max_size=60),
    st.floats(0, 0.4),
    st.floats(0, 0.4),
)
def test_with_times_parts_follow_each_other_and_lose_only_what_an_earlier_one_shows(
    drawn: Sequence[tuple[list[int], str | None, int]], validation: float, test: float
) -> None:
    listings = [row(n, seller=seller, day=day) for n, (_, seller, day) in enumerate(drawn)]
    split = split_listings(
        listings,
        [of_one for of_one, _, _ in drawn],
        seed=0,
        validation_share=validation,
        test_share=test,
    )
    parts = [split.train.tolist(), split.validation.tolist(), split.test.tolist()]
    left_out = split.left_out.tolist()
    assert sorted(sum(parts, left_out)) == list(range(len(listings)))
    for items in (*parts, left_out):
        assert items == sorted(items)
    kept = [[drawn[item][0] for item in items] for items in parts]
    days = [[drawn[item][2] for item in items] for items in parts]
    for early, late in ((0, 1), (0, 2), (1, 2)):
        assert max(days[early], default=0) <= min(days[late], default=30)
        assert not any(shared(of_one, kept[early]) for of_one in kept[late])
    assert len(parts[0]) == (round(len(listings) * (1 - validation - test)) if listings else 0)
    for item in left_out:
        assert shared(drawn[item][0], kept[0] + kept[1])
