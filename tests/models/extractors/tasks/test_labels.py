from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.dataset.rows import ListingRow
from models.extractors.tasks.labels import (
    OTHER_BRAND,
    Task,
    price_labels,
    task_labels,
)

Make = Callable[..., ListingRow]


def test_a_rare_category_counts_as_the_level_above_it(listing: Make) -> None:
    paths = ["A > B > C"] * 12 + ["A > B > D"] * 6 + ["A > B > E"] * 5 + ["A > F"] * 9 + ["A"] * 2
    paths += ["G > H"] * 4
    unseen = ["A > B > new > deeper", "A > new", "new", "", None, "A > B > C"]
    listings = [listing(category=path) for path in [*paths, *unseen]]
    labels = task_labels(Task.CATEGORY, listings, np.arange(len(paths)))
    # B gets D and E (11 of its own); A gets F and its own two (11); G > H is 4 in all
    assert labels.classes == ("A", "A > B", "A > B > C")
    assert labels.targets.dtype == np.int64
    assert labels.targets.tolist() == (
        [2] * 12 + [1] * 6 + [1] * 5 + [0] * 9 + [0] * 2 + [-1] * 4 + [1, 0, -1, -1, -1, 2]
    )


def test_a_level_that_stays_rare_hands_on_what_it_was_given(listing: Make) -> None:
    paths = ["A > B > C"] * 4 + ["A > B > D"] * 3 + ["A > E"] * 3
    labels = task_labels(Task.CATEGORY, [listing(category=p) for p in paths], np.arange(10))
    assert labels.classes == ("A",)
    assert labels.targets.tolist() == [0] * 10


def test_rare_brands_are_one_class_and_spelling_is_plain(listing: Make) -> None:
    brands = ["Nike"] * 6 + [" NIKE "] * 5 + ["Acme Inc"] * 10 + [f"b{n}" for n in range(11)]
    later = [None, "never seen", "nike", "acme  inc"]
    listings = [listing(brand=brand) for brand in [*brands, *later]]
    labels = task_labels(Task.BRAND, listings, np.arange(len(brands)))
    assert labels.classes == ("acme inc", "nike", OTHER_BRAND)
    assert labels.targets.tolist() == [1] * 11 + [0] * 10 + [2] * 11 + [-1, 2, 1, 0]


def test_without_enough_rare_brands_an_unseen_one_is_not_known(listing: Make) -> None:
    listings = [listing(brand=brand) for brand in ["a"] * 10 + ["b"] * 10 + ["c"]]
    labels = task_labels(Task.BRAND, listings, np.arange(21))
    assert (labels.classes, labels.targets[-1]) == (("a", "b"), -1)


def test_a_listing_without_attributes_is_not_known_one_with_a_rare_one_is(listing: Make) -> None:
    sets = [("Red", "cotton")] * 10 + [("blue",)] * 10 + [(), ("odd",)]
    labels = task_labels(Task.ATTRIBUTE, [listing(attributes=s) for s in sets], np.arange(22))
    assert labels.classes == ("blue", "cotton", "red")
    assert labels.targets.dtype == np.int8
    expected = [[0, 1, 1]] * 10 + [[1, 0, 0]] * 10 + [[-1, -1, -1], [0, 0, 0]]
    assert labels.targets.tolist() == expected
    assert labels.known.tolist() == [True] * 20 + [False, True]


def test_a_key_that_is_given_makes_its_other_values_negative(listing: Make) -> None:
    given_ones: list[dict[str, str]] = [{"Size": "M", "Type": "Shirt"}] * 10 + [{"size": "L"}] * 10
    given_ones += [{"Size": "XXXL"}, {"Colour": "red"}, {}]
    labels = task_labels(
        Task.SPECIFICATION, [listing(specifications=s) for s in given_ones], np.arange(23)
    )
    assert labels.classes == ("size=l", "size=m", "type=shirt")
    assert labels.targets.tolist() == (
        [[0, 1, 1]] * 10 + [[1, 0, -1]] * 10 + [[0, 0, -1], [-1, -1, -1], [-1, -1, -1]]
    )


def test_the_classes_are_those_of_the_training_part(listing: Make) -> None:
    listings = [
        listing(category="A", brand="a", attributes=("a",), specifications={"k": "a"})
    ] * 10 + [listing(category="B", brand="b", attributes=("b",), specifications={"k": "b"})] * 30
    for task in (Task.CATEGORY, Task.BRAND, Task.ATTRIBUTE, Task.SPECIFICATION):
        labels = task_labels(task, listings, np.arange(10))
        assert len(labels.classes) == 1
        assert "b" not in labels.classes[0].lower()


def test_prices_lie_around_their_training_mean() -> None:
    logs = np.array([1.0, np.nan, 3.0, 10.0], np.float32)
    labels = price_labels(logs, np.array([0, 1, 2]))
    np.testing.assert_allclose(labels.targets, [-1.0, np.nan, 1.0, 8.0])
    assert labels.known.tolist() == [True, False, True, True]


@pytest.mark.parametrize(
    ("brands", "reason"),
    [
        (["a"] * 25 + ["b"] * 24 + [None] * 30, "49 labelled listings to train on, 50 are needed"),
        (["a"] * 60, "no two classes"),
        (["a"] * 25 + ["b"] * 25, None),
    ],
)
def test_too_few_labels_are_said(listing: Make, brands: list[Any], reason: str | None) -> None:
    train = np.arange(len(brands))
    found = task_labels(Task.BRAND, [listing(brand=b) for b in brands], train).too_few(train)
    assert (reason is None and found is None) or (found is not None and str(reason) in found)


def test_attributes_that_are_all_rare_are_too_few(listing: Make) -> None:
    train = np.arange(60)
    labels = task_labels(Task.ATTRIBUTE, [listing(attributes=(f"a{n}",)) for n in range(60)], train)
    assert labels.targets.shape == (60, 0)
    assert "no label that 10" in str(labels.too_few(train))


def test_balance_of_classes(listing: Make) -> None:
    brands = ["a"] * 30 + ["b"] * 10 + [None] * 5
    labels = task_labels(Task.BRAND, [listing(brand=b) for b in brands], np.arange(45))
    assert labels.balance(np.arange(45)) == {
        "labelled": 40,
        "classes": 2,
        "largest": 0.75,
        "smallest": 10,
        "entropy": round(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), 4),
    }
    many = [("a", "b")] * 10 + [("a",)] * 10
    of_many = task_labels(Task.ATTRIBUTE, [listing(attributes=m) for m in many], np.arange(20))
    assert of_many.balance(np.arange(20))["largest"] == round(2 / 3, 4)


@given(st.lists(st.sampled_from(["A", "A > B", "A > B > C", "A > D", "E > F"]), max_size=60))
def test_every_category_label_is_the_path_or_a_level_above_it(paths: list[str]) -> None:
    blank: dict[str, Any] = dict.fromkeys(ListingRow.__slots__)
    listings = [ListingRow(**(blank | {"category": path})) for path in paths]
    labels = task_labels(Task.CATEGORY, listings, np.arange(len(paths)))
    for path, target in zip(paths, labels.targets, strict=True):
        if target >= 0:
            assert f"{path} > ".startswith(f"{labels.classes[target]} > ")
    counts = np.bincount(labels.targets[labels.targets >= 0], minlength=len(labels.classes))
    assert (counts >= 10).all()
