import numpy as np
import pytest

from models.extractors.tasks.labels import Labels, Task
from models.extractors.tasks.metrics import headline, rounded, task_metrics


def test_top_1_and_top_5_over_labelled_listings() -> None:
    # six classes; the label of listing 0 is highest, of 1 fifth, of 2 lowest, 3 has none
    labels = Labels(Task.CATEGORY, tuple("abcdef"), np.array([0, 1, 2, -1]))
    outputs = np.array(
        [[9, 1, 2, 3, 4, 5], [9, 1, 0, 3, 4, 5], [9, 8, 0, 3, 4, 5], [1, 2, 3, 4, 5, 6]], np.float32
    )
    found = task_metrics(labels, outputs, np.arange(4))
    assert found == {"listings": 3, "top_1": pytest.approx(1 / 3), "top_5": pytest.approx(2 / 3)}
    assert headline(found) == found["top_1"]
    assert rounded(found) == {"listings": 3, "top_1": 0.3333, "top_5": 0.6667}


def test_an_output_that_is_the_same_for_all_classes_hits_nothing() -> None:
    labels = Labels(Task.BRAND, ("a", "b"), np.array([0, 0]))
    found = task_metrics(labels, np.zeros((2, 2), np.float32), np.arange(2))
    assert (found["top_1"], found["top_5"]) == (0, 1)


def test_mean_average_precision_over_known_entries() -> None:
    targets = np.array([[1, -1, 1], [0, -1, 1], [1, 1, 1], [-1, -1, -1], [0, -1, 1]], np.int8)
    outputs = np.array([[0.9, 0, 0], [0.8, 0, 0], [0.7, 0, 0], [9, 9, 9], [0.6, 0, 0]], np.float32)
    found = task_metrics(Labels(Task.ATTRIBUTE, ("a", "b", "c"), targets), outputs, np.arange(5))
    # the first class: hits at ranks 1 and 3: (1/1 + 2/3) / 2; b and c have one answer only
    assert found == {"listings": 4, "scored": 1, "map": pytest.approx((1 + 2 / 3) / 2)}
    assert headline(found) == found["map"]


def test_items_choose_the_rows_of_the_labels() -> None:
    labels = Labels(Task.BRAND, ("a", "b"), np.array([0, 1, 1, 0]))
    outputs = np.array([[0, 1], [1, 0]], np.float32)
    assert task_metrics(labels, outputs, np.array([2, 3]))["top_1"] == 1


def test_price() -> None:
    labels = Labels(Task.PRICE, ("price",), np.array([1.0, -1.0, np.nan], np.float32))
    found = task_metrics(labels, np.array([[0.0], [-1.0], [7.0]], np.float32), np.arange(3))
    assert found["rmse"] == pytest.approx(np.sqrt(0.5))
    assert found["r2"] == pytest.approx(0.5)
    assert headline(found) == -found["rmse"]


def test_without_a_labelled_listing_there_is_nothing_to_compare() -> None:
    labels = Labels(Task.BRAND, ("a", "b"), np.array([-1, -1]))
    found = task_metrics(labels, np.zeros((2, 2), np.float32), np.arange(2))
    assert found == {"listings": 0}
    assert headline(found) is None
