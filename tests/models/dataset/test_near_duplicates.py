import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from models.dataset.near_duplicates import NEAR_BITS, look_alikes


def flipped(photo: int, *bits: int) -> int:
    return photo ^ sum(1 << bit for bit in bits)


def by_brute_force(hashes: list[int], near_bits: int) -> list[set[int]]:
    """The groups: each photo joins all groups that have a photo near it."""
    groups: list[set[int]] = []
    for photo, value in enumerate(hashes):
        near = [
            group
            for group in groups
            if any((value ^ hashes[other]).bit_count() <= near_bits for other in group)
        ]
        groups = [group for group in groups if group not in near]
        groups.append({photo}.union(*near))
    return groups


def groups_of(hashes: list[int], near_bits: int = NEAR_BITS) -> list[set[int]]:
    numbers = look_alikes(hashes, near_bits=near_bits).tolist()
    return [{n for n, of in enumerate(numbers) if of == one} for one in dict.fromkeys(numbers)]


few_bits = st.lists(st.integers(0, 63), max_size=6)
photos = st.lists(
    st.builds(lambda of, bits: flipped(of, *set(bits)), st.sampled_from([0, 2**64 - 1]), few_bits),
    max_size=20,
)


@given(photos | st.lists(st.integers(0, 2**64 - 1), max_size=20), st.integers(0, 8))
@example([0, 1, 3, 7, 15, 31], 1)
def test_the_same_groups_as_by_brute_force(hashes: list[int], near_bits: int) -> None:
    found = sorted(map(sorted, groups_of(hashes, near_bits)))
    assert found == sorted(map(sorted, by_brute_force(hashes, near_bits)))


def test_four_bits_are_near_five_are_not_and_those_between_join() -> None:
    photo = 0x0123456789ABCDEF
    four, five = flipped(photo, 0, 20, 40, 63), flipped(photo, 1, 14, 27, 40, 53)
    assert groups_of([photo, four]) == [{0, 1}]
    assert groups_of([photo, five]) == [{0}, {1}]
    assert groups_of([photo, five, flipped(photo, 1, 14)]) == [{0, 1, 2}]


def test_one_photo_of_thousands_of_listings_among_as_many_others() -> None:
    rng = np.random.default_rng(0)
    others = rng.integers(0, 2**64, 3000, dtype=np.uint64).tolist()
    numbers = look_alikes([7] * 5000 + others)
    assert set(numbers[:5000].tolist()) == {numbers[0]}
    assert len(set(numbers.tolist())) == 3001
